"""What becomes of an invocation after an attempt with a function error."""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import msgspec

from runtime.errors import PermanentError, Retry, SoftTimeoutError

DEFAULT_BACKOFF_SECONDS = 1.0
DEFAULT_BACKOFF_MAX_SECONDS = 600.0


class DeadLetterReason(enum.StrEnum):
    """Why an invocation was given up."""

    RETRIES_EXHAUSTED = "RetriesExhausted"
    PERMANENT = "Permanent"
    EXPIRED = "Expired"
    POISON = "Poison"
    MALFORMED = "Malformed"
    ZERO_RESERVED_CONCURRENCY = "ZeroReservedConcurrency"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often, when, and after what a function is run again.

    `retries` counts the attempts after the first one that ended in a function error. The pause
    before the n-th is random between 0 and `backoff_seconds * 2 ** (n - 1)`, at most
    `backoff_max_seconds` ("full jitter":
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). `max_age_seconds`
    counts from when the invocation was accepted; no attempt starts later.

    With `pauses_seconds`, the n-th pause is the n-th of them, and later ones are like the last.
    """

    retries: int = 0
    backoff_seconds: float = DEFAULT_BACKOFF_SECONDS
    backoff_max_seconds: float = DEFAULT_BACKOFF_MAX_SECONDS
    retry_on: tuple[type[BaseException], ...] = (Exception,)
    max_age_seconds: float | None = None
    pauses_seconds: tuple[float, ...] = ()

    def encode(self) -> bytes:
        """Return it as JSON text, without `retry_on`, which is any exception when it is read."""
        return msgspec.json.encode(
            _Written(
                retries=self.retries,
                backoff=self.backoff_seconds,
                backoff_max=self.backoff_max_seconds,
                max_age=self.max_age_seconds,
                pauses=self.pauses_seconds,
            )
        )

    @classmethod
    def decode(cls, text: bytes) -> Self:
        """Read what `encode` has written."""
        written = msgspec.json.decode(text, type=_Written)
        return cls(
            retries=written.retries,
            backoff_seconds=written.backoff,
            backoff_max_seconds=written.backoff_max,
            max_age_seconds=written.max_age,
            pauses_seconds=written.pauses,
        )


class _Written(msgspec.Struct, frozen=True, kw_only=True):
    retries: int
    backoff: float
    backoff_max: float
    max_age: float | None
    pauses: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TryAgain:
    """Run it again, after a pause."""

    delay_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """Finish it, as a dead letter."""

    reason: DeadLetterReason


def decide(
    policy: RetryPolicy,
    *,
    error: BaseException,
    failures: int,
    age_seconds: float,
    random: Callable[[], float],
) -> TryAgain | GiveUp:
    """Decide after an attempt that ended with `error`.

    `failures` counts the attempts that ended so, this one included; `random` gives numbers from 0
    to below 1.
    """
    asked = isinstance(error, Retry)
    if not asked and not _is_retryable(error, policy.retry_on):
        return GiveUp(reason=DeadLetterReason.PERMANENT)
    if failures > policy.retries:
        return GiveUp(reason=DeadLetterReason.RETRIES_EXHAUSTED)
    delay = error.after_seconds if isinstance(error, Retry) else _backoff(policy, failures, random)
    if policy.max_age_seconds is not None and age_seconds + delay > policy.max_age_seconds:
        return GiveUp(reason=DeadLetterReason.EXPIRED)
    return TryAgain(delay_seconds=delay)


def _backoff(policy: RetryPolicy, failures: int, random: Callable[[], float]) -> float:
    if policy.pauses_seconds:
        return policy.pauses_seconds[min(failures, len(policy.pauses_seconds)) - 1]
    doublings = min(failures - 1, 64)
    longest = min(policy.backoff_max_seconds, policy.backoff_seconds * 2.0**doublings)
    return random() * longest


def _is_retryable(error: BaseException, retry_on: tuple[type[BaseException], ...]) -> bool:
    if isinstance(error, PermanentError):
        return False
    if isinstance(error, SoftTimeoutError) and issubclass(TimeoutError, retry_on):
        return True  # as after the hard timeout
    # A handler that calls sys.exit has failed like one that raises.
    return isinstance(error, retry_on) or (
        not isinstance(error, Exception) and Exception in retry_on
    )
