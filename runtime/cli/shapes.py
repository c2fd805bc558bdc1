"""What commands rely on in the answers of Eyas, to tell them from those of something else.

Answers are checked against these, and used as they are. They may have more members.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

Time = Annotated[datetime, msgspec.Meta(tz=True)]
_Status = Literal["queued", "running", "retrying", "succeeded", "failed", "cancelled", "expired"]
_NEEDED = {
    "failed": ("attempt", "started_at", "due_at", "error"),
    "lost": ("attempt", "worker"),
    "given_up": ("error", "reason"),
}


class BriefError(msgspec.Struct):
    """A function error, without its stack."""

    type: str
    message: str


class FunctionError(BriefError):
    """A function error."""

    stack_trace: list[str]


class Happening(msgspec.Struct):
    """An entry of a history."""

    at: Time
    what: str
    attempt: int | UnsetType = UNSET
    worker: str | UnsetType = UNSET
    started_at: Time | UnsetType = UNSET
    due_at: Time | UnsetType = UNSET
    error: BriefError | UnsetType = UNSET
    reason: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        for name in _NEEDED.get(self.what, ()):
            if getattr(self, name) is UNSET:
                raise ValueError(f"{self.what!r} without {name!r}")
        if self.started_at is not UNSET and self.attempt is UNSET:
            raise ValueError("'started_at' without 'attempt'")


class Record(msgspec.Struct, kw_only=True):
    """The record of an invocation."""

    id: str
    function: str
    status: _Status
    trigger: str
    attempt: int
    accepted_at: Time
    due_at: Time | None
    started_at: Time | None
    finished_at: Time | None
    queue_wait_ms: float | None
    run_ms: float | None
    delay_seconds: float | UnsetType = UNSET
    result: Any = UNSET
    error: FunctionError | UnsetType = UNSET
    history: list[Happening] = []

    def __post_init__(self) -> None:
        if (self.started_at is None) != (self.queue_wait_ms is None):
            raise ValueError("one of 'started_at' and 'queue_wait_ms' is null")
        needed: dict[str, Any] = {}
        match self.status:
            case "running":
                needed = {"started_at": self.started_at}
            case "succeeded":
                needed = {"finished_at": self.finished_at, "result": self.result is not UNSET}
            case "failed" | "cancelled" | "expired":
                needed = {"finished_at": self.finished_at, "error": self.error or None}
        for name, value in needed.items():
            if not value:
                raise ValueError(f"{self.status!r} without {name!r}")


class DeadLetter(Record, kw_only=True):
    """A dead letter."""

    reason: str


class DeadLetters(msgspec.Struct):
    """A page of dead letters."""

    dead_letters: list[DeadLetter]
    next_cursor: str | None


class Redriven(msgspec.Struct):
    """How many were queued again."""

    redriven: int


class Purged(msgspec.Struct):
    """How many were forgotten."""

    purged: int


class Accepted(msgspec.Struct):
    """An invocation that was accepted."""

    id: str


class Result(msgspec.Struct):
    """A result that was waited for."""

    result: Any


class Unsuccessful(msgspec.Struct):
    """A function error that was waited for."""

    detail: str
    invocation_id: str


class State(msgspec.Struct):
    """A status, of what was cancelled or redriven."""

    status: _Status


class Change(msgspec.Struct, kw_only=True):
    """A change of a status, as `GET /changes` tells it."""

    id: str
    function: str
    status: str
    attempt: int
    started_at: Time | None
    finished_at: Time | None
    queue_wait_ms: float | None
    run_ms: float | None
    error: BriefError | None = None


class Ready(msgspec.Struct):
    """How many workers take messages."""

    workers: int


class Clock(msgspec.Struct):
    """The clock of invocations."""

    now: Time


class Function(msgspec.Struct):
    """A function."""

    name: str


class Functions(msgspec.Struct):
    """All functions."""

    functions: list[Function]


class Schedule(msgspec.Struct, kw_only=True):
    """When a function runs by itself."""

    name: str
    paused: bool
    next_run_at: str | None
    last_run_at: str | None
    every: float | UnsetType = UNSET
    schedule: str | UnsetType = UNSET
    timezone: str | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        if self.every is UNSET and UNSET in (self.schedule, self.timezone):
            raise ValueError("neither 'every' nor 'schedule' and 'timezone'")


class Schedules(msgspec.Struct):
    """All schedules."""

    schedules: list[Schedule]
