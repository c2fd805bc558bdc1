"""Functions whose executions can be counted from outside the stack."""
