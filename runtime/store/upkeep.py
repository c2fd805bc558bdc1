"""Steps of the scheduler: due invocations, and a look whether anything is lost."""

import sys
from dataclasses import dataclass
from typing import Any

from runtime.invocation import Status
from runtime.message import QUEUE
from runtime.store import keys
from runtime.store.records import counts
from runtime.store.scripts import script
from runtime.store.step import Step, microseconds, pairs

# A broker reads these in a few milliseconds; it answers nobody else meanwhile.
_MOST_MESSAGES = 1000
_MOST_BYTES = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """How many delayed invocations were queued, and when the next one is due, if there is one."""

    moved: int
    next_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delayed:
    """An invocation that waits for its time."""

    id: str
    function: str
    due_at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """An open invocation whose place only a look at the lists can tell, as it was then."""

    id: str
    status: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspects:
    """A part of them, and where to go on; None at the end."""

    suspects: tuple[Suspect, ...]
    next_position: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ids:
    """The ids that some messages of a place carry, and where to go on; None at the end."""

    ids: tuple[str, ...]
    next_position: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """Everything counted at one instant: statuses by function, and places."""

    functions: dict[str, dict[str, int]]
    places: dict[str, int]

    @property
    def places_all(self) -> bool:
        """Whether there are as many messages as open invocations.

        Then none is lost, unless another one has two, or somebody else's message is there.
        """
        where = ("queue", "landing", "in_flight", "parked", "delayed")
        return self.places["open"] == sum(self.places[place] for place in where)

    def problems(self) -> list[str]:
        """Return what contradicts conservation; nothing if all is well."""
        found = []
        for name, counted in self.functions.items():
            in_statuses = sum(counted[status] for status in Status)
            if counted["accepted"] != in_statuses:
                found.append(f"{name}: {counted['accepted']} accepted, {in_statuses} accounted for")
        waiting_or_running = sum(
            counted[status]
            for counted in self.functions.values()
            for status in (Status.QUEUED, Status.RETRYING, Status.RUNNING)
        )
        if waiting_or_running != self.places["open"]:
            found.append(
                f"{waiting_or_running} wait or run by their status, {self.places['open']} are open"
            )
        running = sum(counted[Status.RUNNING] for counted in self.functions.values())
        if running != self.places["running"]:
            found.append(f"{running} run by their status, workers hold {self.places['running']}")
        return found


def queue_due(*, limit: int) -> Step[Due]:
    """Queue delayed invocations whose time has come, each exactly once, whoever asks."""

    def parse(reply: Any) -> Due:
        moved, next_us = reply
        return Due(moved=moved, next_seconds=None if next_us < 0 else next_us / 1e6)

    return Step(script=script("due"), arguments=(limit,), parse=parse)


def read_delayed(*, limit: int) -> Step[list[Delayed]]:
    """Read which invocations are delayed, the next one first."""

    def parse(reply: Any) -> list[Delayed]:
        return [
            Delayed(id=name.decode(), function=function.decode(), due_at_us=int(due))
            for name, function, due in zip(reply[::3], reply[1::3], reply[2::3], strict=True)
        ]

    return Step(script=script("delayed"), arguments=(limit,), parse=parse)


def find_suspects(*, older_than_seconds: float, limit: int, position: str = "") -> Step[Suspects]:
    """Find open invocations that are not delayed, and not running under a claim that is held.

    The oldest come first. There are more than `limit` only if some were accepted at one instant.
    """

    def parse(reply: Any) -> Suspects:
        position, flat = reply
        return Suspects(
            suspects=tuple(
                Suspect(id=name.decode(), status=sys.intern(status.decode()), attempt=int(attempt))
                for name, status, attempt in zip(flat[::3], flat[1::3], flat[2::3], strict=True)
            ),
            next_position=position.decode() or None,
        )

    return Step(
        script=script("suspects"),
        arguments=(microseconds(older_than_seconds), limit, position),
        parse=parse,
    )


def read_list_ids(key: str, *, position: int = 0) -> Step[Ids]:
    """Read which invocations the messages of a list are of; bounded work for the broker."""
    return Step(
        script=script("ids"),
        keys=(key,),
        arguments=(position, _MOST_MESSAGES, _MOST_BYTES),
        parse=_ids,
    )


def read_held_ids(worker: str, *, position: int = 0) -> Step[Ids]:
    """Read which invocations the messages are of that a worker has claimed; also bounded."""
    return Step(
        script=script("held"),
        keys=(keys.in_flight(worker),),
        arguments=(position, _MOST_MESSAGES, _MOST_BYTES),
        parse=_ids,
    )


def read_workers() -> Step[list[str]]:
    """Read which workers may hold messages."""
    return Step(arguments=("ZRANGE", "eyas:leases", 0, -1), parse=_names)


def read_parking() -> Step[list[str]]:
    """Read which functions have messages that wait for one of their slots."""
    return Step(arguments=("SMEMBERS", "eyas:parked"), parse=_names)


def put_back(suspect: Suspect, message: bytes) -> Step[bool]:
    """Queue a lost invocation again; False if it is not lost after all."""
    return Step(
        script=script("put_back"),
        keys=(keys.invocation(suspect.id), QUEUE),
        arguments=(suspect.id, message, suspect.status, suspect.attempt),
        parse=bool,
    )


def take_census() -> Step[Census]:
    """Count everything at one instant."""

    def parse(reply: Any) -> Census:
        functions, places = reply
        return Census(
            functions={name.decode(): counts(pairs(counted)) for name, counted in functions},
            places={name.decode(): int(number) for name, number in pairs(places).items()},
        )

    return Step(script=script("census"), parse=parse)


def _ids(reply: Any) -> Ids:
    position, ids = reply
    return Ids(
        ids=tuple(name.decode() for name in ids),
        next_position=None if position < 0 else position,
    )


def _names(reply: Any) -> list[str]:
    return [name.decode() for name in reply]
