"""The test of one side: a backlog of short tasks, and a worker that is killed again and again."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import celery

from benchmarks.stock_celery.sides import Side
from tests.chaos.chaos_functions._noting import STARTED
from tests.chaos.faults import Fault, Kill
from tests.chaos.ledger import Entry, Ledger
from tests.chaos.load import Sent

_BACKLOG = 3000
_LONGEST_PAUSE_SECONDS = 1.0
_START_SECONDS = 60.0
_QUIET_SECONDS = 15.0
_SETTLE_SECONDS = 300.0
_POLL_SECONDS = 0.02


class Attack:
    """Kills, and what was accepted meanwhile."""

    def __init__(self, side: Side, ledger: Ledger, own: random.Random) -> None:
        self.kills: list[Kill] = []
        self.accepted: list[Sent] = []
        self._side = side
        self._ledger = ledger
        self._random = own

    def run(self, kills: int) -> None:
        """Kill the worker so often, and then leave it in peace until nothing is left to do."""
        with _producer(self._side.stack.redis_url) as send:
            for _ in range(kills):
                self._fill(send)
                self._kill()
        self._settle()

    def _fill(self, send: Callable[[int], str]) -> None:
        self._ledger.read()
        executed = sum(1 for sent in self.accepted if self._ledger.of(sent.id))
        for _ in range(_BACKLOG - len(self.accepted) + executed):
            number, sent_at = len(self.accepted), time.monotonic()
            self.accepted.append(
                Sent(
                    id=send(number),
                    function="fast",
                    number=number,
                    trigger="celery",
                    sent_at=sent_at,
                    accepted_at=time.monotonic(),
                )
            )

    def _kill(self) -> None:
        time.sleep(self._random.uniform(0, _LONGEST_PAUSE_SECONDS))
        pool = frozenset(self._side.pool())
        self._ledger.read()
        now = time.monotonic()
        kill = Kill(
            fault=Fault.WORKER,
            at=now,
            gone_at=now,
            alone=True,
            pool=pool,
            victims=pool,
            seen_sent=len(self.accepted),
            seen_entries=len(self._ledger.entries),
        )
        self._side.kill_worker()
        self.kills.append(kill)
        deadline = kill.at + _START_SECONDS
        while kill.recovered_at is None:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{self._side.name} did not recover\n{self._side.stack.output()}"
                )
            time.sleep(_POLL_SECONDS)
            kill.recovered_at = self._recovered_at(kill)

    def _recovered_at(self, kill: Kill) -> float | None:
        self._ledger.read()
        return min((entry.at for entry in self._new(kill)), default=None)

    def _new(self, kill: Kill) -> Iterator[Entry]:
        for entry in self._ledger.entries[kill.seen_entries :]:
            if entry.what == STARTED and entry.at > kill.at and entry.pid not in kill.pool:
                yield entry

    def _settle(self) -> None:
        """Wait until every task has run, or none does any more and the broker holds none."""
        seen, seen_at = -1, time.monotonic()
        deadline = seen_at + _SETTLE_SECONDS
        while any(not self._ledger.ends(sent.id) for sent in self.accepted):
            self._ledger.read()
            if len(self._ledger.entries) != seen or self._side.holds_messages():
                seen, seen_at = len(self._ledger.entries), time.monotonic()
            elif time.monotonic() - seen_at > _QUIET_SECONDS:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._side.name} still holds messages")
            time.sleep(_POLL_SECONDS)


@contextmanager
def _producer(url: str) -> Iterator[Callable[[int], str]]:
    """Give a function that sends a task over one connection, and returns the task's id."""
    with (
        celery.Celery(broker=url, set_as_current=False) as app,
        app.producer_or_acquire() as producer,
    ):

        def send(number: int) -> str:
            sent: Any = app.send_task("fast", kwargs={"number": number}, producer=producer)
            return str(sent.id)

        yield send
