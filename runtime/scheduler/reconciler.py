"""Finding invocations that were accepted, are not finished, and are nowhere.

No step of Eyas loses a message. Other programs can: a stock Celery worker on the same queue that is
killed, `celery purge`, somebody with a Redis client, a broker restored from an old copy.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from runtime import message
from runtime.invocation import Invocation, Record
from runtime.message import QUEUES
from runtime.scheduler.chores import Chore, log
from runtime.settings import Retention
from runtime.store import Store, claims, records, upkeep
from runtime.store.upkeep import Suspect

_MOST_SUSPECTS = 1000
_CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Looks for the messages of open invocations; changes nothing."""

    store: Store

    def lost(self) -> list[Suspect]:
        """Return every invocation that is nowhere, twice in a row: none was only on its way."""
        twice: set[Suspect] | None = None
        for _ in range(2):
            suspects = self.suspects(older_than_seconds=0, most=None)
            missing = self.missing_at_the_head(suspects)
            found = set(self.missing_everywhere(missing).values())
            twice = found if twice is None else twice & found
            if not twice:
                return []
        return sorted(twice or (), key=lambda suspect: suspect.id)

    def suspects(
        self, *, older_than_seconds: float, most: int | None = _MOST_SUSPECTS
    ) -> list[Suspect]:
        """Return the oldest open invocations that only the lists can tell of."""
        found: list[Suspect] = []
        position: int | None = 0
        while position is not None and (most is None or len(found) < most):
            part = self.store.run(
                upkeep.find_suspects(
                    older_than_seconds=older_than_seconds,
                    limit=_MOST_SUSPECTS if most is None else most - len(found),
                    position=position,
                )
            )
            found += part.suspects
            position = part.next_position
        return found

    def missing_at_the_head(self, suspects: Iterable[Suspect]) -> dict[str, Suspect]:
        """Return those that are neither held nor among the next messages of the queues.

        The oldest invocations are usually there: most looks end here, however long the queue is.
        """
        missing = {suspect.id: suspect for suspect in suspects}
        for queue in QUEUES:
            step = claims.read_queue(queue, first=-2 * _MOST_SUSPECTS, last=-1)
            _remove(missing, self.store.run(step))
        # After the queues: a message goes from there into somebody's hands.
        _remove(missing, self.store.run(claims.read_held()))
        return missing

    def missing_everywhere(self, missing: dict[str, Suspect]) -> dict[str, Suspect]:
        """Return those whose message is in no queue at all, and held by nobody."""
        missing = dict(missing)
        for queue in QUEUES:
            first = 0
            # From where producers push: what they push meanwhile moves the rest on, towards us.
            while missing:
                step = claims.read_queue(queue, first=first, last=first + _CHUNK - 1)
                messages = self.store.run(step)
                _remove(missing, messages)
                first += _CHUNK
                if len(messages) < _CHUNK:
                    break
        _remove(missing, self.store.run(claims.read_held()))
        return missing


@dataclass(slots=True, kw_only=True)
class Reconcile(Chore):
    """Queues again what is nowhere.

    Two messages of one invocation would do no harm: only one of them is run (`start.lua`).
    """

    retention: Retention
    every_seconds: float = 5.0
    older_than_seconds: float = 5.0
    shortest_pause_seconds: float = 60.0
    _searched_at: float = float("-inf")

    def act(self) -> float:
        """Look once."""
        search = Search(store=self.store)
        suspects = search.suspects(older_than_seconds=self.older_than_seconds)
        missing = search.missing_at_the_head(suspects)
        if missing and self._may_search_everywhere(len(suspects)):
            for suspect in search.missing_everywhere(missing).values():
                self._put_back(suspect)
        return self.every_seconds

    def _may_search_everywhere(self, suspects: int) -> bool:
        """Tell whether to read the queues from end to end now: seldom, if they are long."""
        now = time.monotonic()
        if suspects == _MOST_SUSPECTS and now - self._searched_at < self.shortest_pause_seconds:
            return False
        self._searched_at = now
        return True

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


def _remove(missing: dict[str, Suspect], messages: Iterable[bytes]) -> None:
    for one in messages:
        invocation_id = message.id_in(one)
        if invocation_id is not None:
            missing.pop(invocation_id, None)
