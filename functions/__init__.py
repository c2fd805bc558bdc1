"""User code: each module here defines functions; see docs/functions.md."""
