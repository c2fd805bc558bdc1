"""What is said of an attempt that ended with an exception, and what becomes of its invocation."""

import random
from dataclasses import dataclass
from typing import Any

from runtime.errors import InvalidPayloadError, InvalidResultError, PermanentError
from runtime.function import Function
from runtime.outcome import FunctionError, traceback_text
from runtime.policy import GiveUp, RetryPolicy, TryAgain, decide
from runtime.worker.names import PoisonError, name_of

# Running it again would end the same way.
_PERMANENT = (InvalidPayloadError, InvalidResultError, PoisonError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What is said of it: in the record, and in the logs."""

    error: FunctionError
    traceback: str

    @property
    def error_text(self) -> bytes:
        """The `error` of the record."""
        return self.error.encode()


def describe(error: BaseException) -> Failure:
    """Describe what a handler raised, or what the runtime did."""
    described = FunctionError.from_exception(error)
    name = name_of(error)
    if name:
        described = FunctionError(type=name, message=described.message)
    return Failure(error=described, traceback=traceback_text(error))


def policy_of(function: Function[..., Any], written: bytes) -> RetryPolicy:
    """Return the policy of an invocation: its own, if one is written in its record."""
    return RetryPolicy.decode(written) if written else function.retry_policy


def judge(
    function: Function[..., Any],
    error: BaseException,
    *,
    failures: int,
    age_seconds: float,
    policy: bytes = b"",
) -> TryAgain | GiveUp:
    """Decide what becomes of an invocation; `failures` includes this one.

    It has a `policy` of its own, or the function's.
    """
    judged = PermanentError(str(error)) if isinstance(error, _PERMANENT) else error
    return decide(
        policy_of(function, policy),
        error=judged,
        failures=failures,
        age_seconds=age_seconds,
        random=random.random,
    )
