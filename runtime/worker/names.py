"""Names of function errors that are not simply the class of what a handler raised."""

from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.exceptions import NotRegistered, TaskRevokedError

from runtime.errors import (
    EyasError,
    InvalidPayloadError,
    InvalidResultError,
    SoftTimeoutError,
)
from runtime.outcome import INVALID_PAYLOAD


class PoisonError(EyasError):
    """Running this invocation killed its process too often."""


class BarredError(EyasError):
    """No attempt of this function may run: its reserved concurrency is 0."""


_NAMES: dict[type[BaseException], str] = {
    InvalidPayloadError: INVALID_PAYLOAD,
    InvalidResultError: "InvalidResult",
    PoisonError: "Poison",
    BarredError: "ZeroReservedConcurrency",
    TimeLimitExceeded: "Timeout",
    WorkerLostError: "WorkerLost",
    NotRegistered: "UnknownFunction",
    TaskRevokedError: "Cancelled",
    SoftTimeoutError: "Timeout",
}


def name_of(error: BaseException) -> str | None:
    """Return the `type` of a function error, or None if it is the name of the error's class."""
    return next((name for kind, name in _NAMES.items() if isinstance(error, kind)), None)
