"""Eyas: run Python functions in the background without losing one.

This is all that a module of `functions/` needs:

    from runtime import Context, function
"""

from runtime.context import Context
from runtime.errors import PermanentError, Retry, SoftTimeoutError
from runtime.function import Function, function

__all__ = ["Context", "Function", "PermanentError", "Retry", "SoftTimeoutError", "function"]
