"""What is published of all invocations: each change of a status, to who listens to that status."""

from collections.abc import Callable
from typing import Any

import msgspec

from runtime.invocation import Status
from runtime.moments import between_ms, rfc3339


class Change(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """An invocation had a new status, and this was so at that instant.

    It has what a line about it needs: of an error only type and message, and no payload, progress
    or result. Times are as in a record. All who listen are given the same object.
    """

    id: str
    function: str
    status: Status
    attempt: int
    max_attempts: int
    accepted_at_us: int
    started_at_us: int | None
    finished_at_us: int | None
    due_at_us: int | None
    error: dict[str, str] | None

    def once(self, make: Callable[["Change"], bytes]) -> bytes:
        """Return how it is sent, as `make` puts it for the first who asks."""
        made: bytes | None = self.__dict__.get("made")
        if made is None:
            made = self.__dict__["made"] = make(self)
        return made

    def to_json(self) -> dict[str, Any]:
        """Return it as the HTTP contract shows it: with the names that a record has."""
        shown: dict[str, Any] = {"id": self.id, "function": self.function, "status": self.status}
        if self.error is not None:
            shown["error"] = self.error
        return shown | {
            "attempt": self.attempt,
            "max_attempts": self.max_attempts,
            "accepted_at": rfc3339(self.accepted_at_us),
            "due_at": rfc3339(self.due_at_us),
            "started_at": rfc3339(self.started_at_us),
            "finished_at": rfc3339(self.finished_at_us),
            "queue_wait_ms": between_ms(self.accepted_at_us, self.started_at_us),
            "run_ms": between_ms(self.started_at_us, self.finished_at_us),
        }


class _Error(msgspec.Struct):
    type: str
    message: str


def read_change(status: Status, news: bytes) -> Change:
    """Read what `announce` in `shared.lua` has packed; what a record does not have is empty.

    Raises `ValueError`.
    """
    name, function, attempt, most, accepted, started, finished, due, error = _NEWS.decode(news)
    return Change(
        id=name,
        function=function,
        status=status,
        attempt=int(attempt),
        max_attempts=int(most),
        accepted_at_us=int(accepted),
        started_at_us=int(started) if started else None,
        finished_at_us=int(finished) if finished else None,
        due_at_us=int(due) if due else None,
        error=_shown(error) if error else None,
    )


def _shown(error: str) -> dict[str, str]:
    found = _ERROR.decode(error)
    return {"type": found.type, "message": found.message}


_NEWS = msgspec.msgpack.Decoder(list[str])
_ERROR = msgspec.json.Decoder(_Error)
