"""What has happened to an invocation on its way, besides its start and its end."""

import enum
from typing import Any

import msgspec

from runtime.moments import rfc3339


class What(enum.StrEnum):
    """What can happen; nothing of it to most invocations."""

    FAILED = "failed"
    LOST = "lost"
    PARKED = "parked"
    CANCELLING = "cancelling"
    RECOVERED = "recovered"
    GIVEN_UP = "given_up"
    REDRIVEN = "redriven"


_NOTHING = msgspec.Raw()


class Happening(msgspec.Struct, frozen=True, kw_only=True, rename={"at_us": "at"}):
    """One thing that has happened, at a time of the clock of invocations, in microseconds.

    * `failed`: an attempt ended with a function error, after which there is another one, at
      `due_at`. `error` has type and message.
    * `lost`: the process or the worker of an attempt died; it is made again. Without `started_at`
      it may not have begun.
    * `parked`: all slots of its function (`concurrency`) were taken.
    * `cancelling`: it was to be cancelled while it ran.
    * `recovered`: it was nowhere, and was queued again.
    * `given_up`: it became a dead letter, for a `reason`; of the latest attempt there is what is
      known. It is noted when the record forgets it: when it is redriven.
    * `redriven`: it was a dead letter, and was queued again.
    """

    at_us: int
    what: What
    attempt: int | None = None
    worker: str | None = None
    started_at: int | None = None
    due_at: int | None = None
    error: msgspec.Raw = _NOTHING
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as a record shows it: with what is known of it only."""
        shown: dict[str, Any] = {"at": rfc3339(self.at_us), "what": self.what}
        if self.attempt is not None:
            shown["attempt"] = self.attempt
        if self.worker is not None:
            shown["worker"] = self.worker
        if self.started_at is not None:
            shown["started_at"] = rfc3339(self.started_at)
        if self.due_at is not None:
            shown["due_at"] = rfc3339(self.due_at)
        if self.error:
            shown["error"] = self.error
        if self.reason is not None:
            shown["reason"] = self.reason
        return shown


def decode(lines: bytes) -> tuple[Happening, ...]:
    """Read what the broker keeps: one JSON object on each line, the oldest first."""
    return tuple(_DECODER.decode_lines(lines))


_DECODER = msgspec.json.Decoder(Happening)
