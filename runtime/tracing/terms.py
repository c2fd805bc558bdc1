"""What others know of tracing; and tracing that is off."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnd:
    """An attempt that has ended, as the broker tells it. Times are in microseconds since 1970.

    `started_at_us` is None if the handler was not run. `trace_parent` is what the message carried,
    a W3C `traceparent`, well-formed or not. `error_type` is None of an attempt that succeeded.
    `chosen` is what `choose` has said of it, or empty.
    """

    invocation_id: str
    function: str
    attempt: int
    status: str
    accepted_at_us: int
    started_at_us: int | None
    ended_at_us: int
    trace_parent: str | None
    error_type: str | None
    error_message: str
    chosen: str = ""


class RequestSpan(Protocol):
    """The span of a request under way. `trace_parent` is for what the request causes."""

    trace_id: str
    trace_parent: str

    def end(self, *, route: str | None, status: int, noted: Mapping[str, str | int]) -> None:
        """End it with the answer's HTTP status; `noted` is what the request is about."""


class Tracing:
    """Makes spans, if it is on. This one is off: nobody asks it for any."""

    is_on: ClassVar[bool] = False

    def request(
        self, *, method: str, path: str, scheme: str, client: str, trace_parent: str | None
    ) -> RequestSpan:
        """Begin the span of a request, in the trace that its `traceparent` header names."""
        raise NotImplementedError

    def choose(self, function: str, *, trace_parent: str | None) -> str:
        """Choose the span of an attempt that is about to end; return its `traceparent`.

        `trace_parent` is what the message carried.
        """
        raise NotImplementedError

    def attempt(self, end: AttemptEnd) -> str:
        """Make the spans of an attempt that has ended; return the id of its trace."""
        raise NotImplementedError

    def close(self) -> None:
        """Send what is left, for a moment at most."""


OFF = Tracing()
