"""Finding invocations that were accepted, are not finished, and are nowhere.

No step of Eyas loses a message. Other programs can: a stock Celery worker on the same queue that is
killed, `celery purge`, somebody with a Redis client, a broker restored from an old copy.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from runtime import message
from runtime.invocation import Invocation, Record
from runtime.message import QUEUES
from runtime.scheduler.chores import Chore, log
from runtime.settings import Retention
from runtime.store import Store, keys, records, upkeep
from runtime.store.step import Step
from runtime.store.upkeep import Ids, Suspect, Suspects

_PAGE = 1000
# A search takes at most one part in so many of the broker's time: while it goes on, and in all.
_REST_BETWEEN_PARTS = 4
_REST = 20
# How often a look at the numbers alone may do in a row: ten minutes' worth.
_MOST_TRUSTED = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Looks for the messages of open invocations; changes nothing.

    `rest` is called after each part with the seconds to leave the broker alone.
    """

    store: Store
    rest: Callable[[float], object] = lambda _: None

    def lost(self) -> list[Suspect]:
        """Return every invocation that is nowhere, twice in a row: none was only on its way."""
        twice: set[Suspect] | None = None
        for _ in range(2):
            suspects = self.suspects(older_than_seconds=0).suspects
            found = set(self.missing(suspects).values())
            twice = found if twice is None else twice & found
            if not twice:
                return []
        return sorted(twice or (), key=lambda suspect: suspect.id)

    def suspects(
        self, *, older_than_seconds: float, most: int | None = None, position: str = ""
    ) -> Suspects:
        """Return open invocations that only the lists can tell of, the oldest first."""
        found: list[Suspect] = []
        next_position: str | None = position
        while next_position is not None and (most is None or len(found) < most):
            part = self.store.run(
                upkeep.find_suspects(
                    older_than_seconds=older_than_seconds,
                    limit=_PAGE if most is None else min(_PAGE, most - len(found)),
                    position=next_position,
                )
            )
            found += part.suspects
            next_position = part.next_position
        return Suspects(suspects=tuple(found), next_position=next_position)

    def missing(self, suspects: Iterable[Suspect]) -> dict[str, Suspect]:
        """Return those whose message is in no queue, held by nobody, and not parked.

        Without suspects nothing is read, and no more than it takes to find them all.
        """
        missing = {suspect.id: suspect for suspect in suspects}
        places = self._places()
        while missing:
            ids = next(places, None)
            if ids is None:
                break
            for one in ids:
                missing.pop(one, None)
        return missing

    def _places(self) -> Iterator[tuple[str, ...]]:
        """Yield the ids of all messages, some at a time, in the order in which messages move."""
        for queue in QUEUES:
            yield from self._list(queue)
        workers = self.store.run(upkeep.read_workers())
        for worker in workers:
            yield from self._list(keys.landing(worker))
        for worker in workers:
            yield from self._parts(partial(upkeep.read_held_ids, worker))
        for function in self.store.run(upkeep.read_parking()):
            yield from self._list(keys.parked(function))

    def _list(self, key: str) -> Iterator[tuple[str, ...]]:
        # From where messages are pushed: what is pushed meanwhile moves the rest on, towards us.
        return self._parts(partial(upkeep.read_list_ids, key))

    def _parts(self, read: Callable[..., Step[Ids]]) -> Iterator[tuple[str, ...]]:
        position: int | None = 0
        while position is not None:
            started = time.monotonic()
            part = self.store.run(read(position=position))
            yield part.ids
            position = part.next_position
            if position is not None:
                self.rest(_REST_BETWEEN_PARTS * (time.monotonic() - started))


@dataclass(slots=True, kw_only=True)
class Reconcile(Chore):
    """Queues again what is nowhere.

    Each round goes on where the one before has ended, and begins anew at the end: however many wait
    for long, all are looked at in turn. One that is parked is looked for in the list like any
    other: that its record says so does not prove that its message is still there.

    Two messages of one invocation would do no harm: only one of them is run (`start.lua`).

    While there are as many messages as open invocations, most rounds leave it at that: reading a
    queue of a million takes a broker seconds.
    """

    retention: Retention
    every_seconds: float = 5.0
    older_than_seconds: float = 5.0
    most: int = 50_000
    _position: str = ""
    _trusted: int = 0

    def act(self) -> float:
        """Look once; after a long look, rest long."""
        if self._trusted < _MOST_TRUSTED and self.store.run(upkeep.take_census()).places_all:
            self._trusted += 1
            return self.every_seconds
        self._trusted = 0
        search = Search(store=self.store, rest=self._stopped.wait)
        started = time.monotonic()
        part = search.suspects(
            older_than_seconds=self.older_than_seconds, most=self.most, position=self._position
        )
        missing = search.missing(part.suspects)
        # A second time: none was only on its way.
        missing = search.missing(missing.values())
        pause = max(self.every_seconds, _REST * (time.monotonic() - started))
        for suspect in missing.values():
            self._put_back(suspect)
        self._position = part.next_position or ""
        return pause

    def _put_back(self, suspect: Suspect) -> None:
        record = self.store.run(records.read(suspect.id, retention=self.retention))
        if not isinstance(record, Record):
            encoded, function = b"", None
        else:
            encoded, function = message.encode(_invocation_of(record), None), record.function
        if self.store.run(upkeep.put_back(suspect, encoded)):
            log.error("invocation.recovered", invocation_id=suspect.id, function=function)


def _invocation_of(record: Record) -> Invocation:
    return Invocation(
        id=record.id,
        function=record.function,
        payload=record.payload,
        trigger=record.trigger,
        timeout_seconds=0,
    )
