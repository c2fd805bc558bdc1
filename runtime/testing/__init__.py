"""For people who write functions: test a handler without a broker, or on a real private stack.

    from runtime.testing import Stack, invoke

    def test_fib() -> None:
        assert invoke(fib, {"number": 3}) == [0, 1, 1, 2]

    def test_fib_on_a_stack(eyas_stack: Stack) -> None:
        assert eyas_stack.invoke("fib", {"number": 3}) == [0, 1, 1, 2]

`eyas_stack` is a pytest fixture; pytest finds it by itself where Eyas is installed.
"""

from runtime.testing.inline import invoke
from runtime.testing.stack import FunctionFailedError, Stack

__all__ = ["FunctionFailedError", "Stack", "invoke"]
