"""Everything that Eyas itself can raise. This module imports nothing of Eyas.

An *invocation error* means the runtime could not accept an invocation: it is an exception, and
each edge (HTTP, CLI) translates it. A *function error*, what a handler did wrong, is a value:
see `runtime.outcome.FunctionError`.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

LONGEST_SECONDS = 100 * 365 * 86_400
"""The longest time that a function may name: a hundred years, so that any date can be written."""


class EyasError(Exception):
    """Base of every error that Eyas raises on purpose; its text is fit for users."""


class SettingsError(EyasError):
    """One or more settings are missing, malformed, or contradict each other."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class DefinitionError(EyasError):
    """A function is declared in a way that cannot work; found when its module is imported."""


class InvocationError(EyasError):
    """An invocation could not be accepted; nothing was enqueued."""


class UnknownFunctionError(InvocationError):
    """No function of that name is registered."""

    def __init__(self, name: str, registered: Sequence[str]) -> None:
        known = ", ".join(registered) if registered else "none"
        super().__init__(
            f"no function named {name!r}. Registered: {known}. "
            "Functions are the modules of the functions folder."
        )
        self.name = name


class MalformedJSONError(InvocationError):
    """The payload is not JSON. `line` and `column` count from 1."""

    def __init__(self, reason: str, *, line: int, column: int) -> None:
        super().__init__(f"{reason} (line {line}, column {column})")
        self.reason = reason
        self.line = line
        self.column = column


class PayloadProblem(NamedTuple):
    """What is wrong in one place of a payload; `pointer` is a JSON Pointer (RFC 6901)."""

    pointer: str
    detail: str


class InvalidPayloadError(InvocationError):
    """The payload is JSON but does not fit the function's signature."""

    def __init__(self, function: str, problems: Sequence[PayloadProblem]) -> None:
        listed = "; ".join(f"{p.pointer or '(whole payload)'}: {p.detail}" for p in problems)
        super().__init__(f"the payload does not fit function {function!r}: {listed}")
        self.function = function
        self.problems = tuple(problems)


class InvalidBatchError(InvalidPayloadError):
    """Payloads of a batch do not fit; `index` is the first one's, and begins their pointers."""

    def __init__(self, function: str, problems: Sequence[PayloadProblem], *, index: int) -> None:
        super().__init__(function, problems)
        self.index = index


class InvalidEventError(InvalidPayloadError):
    """An event's data does not fit a function that is to be given it; pointers are into the event.

    `index` is the event's in its batch, and begins the pointers; None outside of batches.
    """

    def __init__(
        self,
        function: str,
        problems: Sequence[PayloadProblem],
        *,
        event_id: str,
        index: int | None = None,
    ) -> None:
        super().__init__(function, problems)
        self.args = (f"event {event_id!r}: {self}",)
        self.event_id = event_id
        self.index = index


class MalformedEventError(InvocationError):
    """What was sent is no CloudEvent; `index` is its place in a batch."""

    def __init__(self, reason: str, *, index: int | None = None) -> None:
        which = "" if index is None else f"event {index} of the batch: "
        super().__init__(which + reason)
        self.reason = reason
        self.index = index


class UnknownEventFormatError(InvocationError):
    """A CloudEvent in an event format that is not read here."""

    def __init__(self, media_type: str) -> None:
        super().__init__(
            f"the event format {media_type!r} is not read here: send application/cloudevents+json, "
            "application/cloudevents-batch+json, or the binary mode"
        )
        self.media_type = media_type


class PayloadTooLargeError(InvocationError):
    """The payload, or that with an `index` in a batch, has more bytes than its limit."""

    def __init__(self, limit_bytes: int, *, index: int | None = None) -> None:
        which = "the payload" if index is None else f"payload {index} of the batch"
        super().__init__(f"{which} is larger than the limit of {limit_bytes} bytes")
        self.limit_bytes = limit_bytes


class BatchTooLargeError(InvocationError):
    """A batch has more payloads than it may have."""

    def __init__(self, count: int, *, limit: int) -> None:
        super().__init__(f"the batch has {count} payloads, and {limit} is the limit: send several")
        self.limit = limit


class UnknownInvocationError(EyasError):
    """No invocation with that id was ever accepted here."""

    def __init__(self, invocation_id: str) -> None:
        super().__init__(f"no invocation with id {invocation_id!r}")
        self.invocation_id = invocation_id


class ExpiredInvocationError(EyasError):
    """There was an invocation with that id; its record has been removed since."""

    def __init__(self, invocation_id: str) -> None:
        super().__init__(f"invocation {invocation_id!r} existed; its record is not kept any more")
        self.invocation_id = invocation_id


class UnknownDeadLetterError(EyasError):
    """There is no dead letter with that id, whatever else has it."""

    def __init__(self, invocation_id: str) -> None:
        super().__init__(f"no dead letter with id {invocation_id!r}")
        self.invocation_id = invocation_id


class UnknownScheduleError(EyasError):
    """No function of that name has a schedule."""

    def __init__(self, name: str, scheduled: Sequence[str]) -> None:
        known = ", ".join(scheduled) if scheduled else "none"
        super().__init__(
            f"no schedule named {name!r}. Functions with one: {known}. "
            "A function gets it with schedule= or every=."
        )
        self.name = name


class ConflictError(EyasError):
    """What was asked for does not go with the status of the invocation."""


class IdempotencyConflictError(InvocationError):
    """An idempotency key was used before with another payload."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the idempotency key {key!r} was used before with another payload")


class ThrottledError(InvocationError):
    """A limit is reached: refused for now, and worth trying again later."""


class BrokerUnavailableError(InvocationError):
    """The broker is down, hung, full, read-only or still loading its data."""


class BrokerUnsupportedError(EyasError):
    """The broker cannot do what Eyas needs."""


class PermanentError(EyasError):
    """Raised by a handler, or a base of what it raises: trying again would not help."""


class Retry(EyasError):  # noqa: N818  a wish, not an error
    """Raised by a handler that wants to be run again `after` so many seconds.

    It counts as one of the function's `retries`; when none is left the invocation fails.
    """

    def __init__(self, message: str = "the handler asks to be run again", *, after: float) -> None:
        super().__init__(message)
        if not 0 <= after <= LONGEST_SECONDS:
            raise ValueError(f"Retry(after={after!r}): expected seconds from 0 to 100 years")
        self.after_seconds = float(after)


class InvalidResultError(EyasError):
    """A handler returned or yielded something that JSON cannot hold, or too much."""

    @classmethod
    def too_large(cls, size_bytes: int, *, most_bytes: int) -> Self:
        """Say that a result is too large to be kept."""
        return cls(
            f"the result has {size_bytes} bytes; the limit is {most_bytes} (EYAS_MAX_RESULT_BYTES)"
        )


class SoftTimeoutError(EyasError):
    """Raised in a handler at its soft timeout: the last chance to put things in order."""
