"""A store on an empty broker, and what tests of its steps say often."""

import contextlib
import itertools
import select
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import redis

from runtime.invocation import Invocation, Record, Status
from runtime.policy import DeadLetterReason
from runtime.settings import Retention
from runtime.store import Store, claims, keys, lifecycle, records, upkeep
from runtime.store.claims import Claim, Ticket
from runtime.store.handover import Handover
from runtime.store.lifecycle import Accepting, Cancelling, Started, Verdict
from runtime.store.step import Step

QUEUE = "celery"
LESS_URGENT = "celery\x06\x163"
RETENTION = Retention(record_seconds=1000, dead_letter_seconds=2000, id_seconds=3000)
ERROR = b'{"type":"ValueError","message":"no","stack_trace":[]}'
# No test takes this long between two sweeps.
NO_GAP = 1e6


class Bench:
    """A store on an empty broker, and what tests say often."""

    def __init__(self, url: str) -> None:
        self.store = Store(url)
        self.raw = redis.Redis.from_url(url)
        self._numbers = itertools.count(1)

    def run(self, step: Step[Any]) -> Any:
        return self.store.run(step)

    def now_us(self) -> int:
        seconds, microseconds = self.raw.time()
        return int(seconds) * 1_000_000 + int(microseconds)

    def accept(self, name: str = "f", *, delay: float = 0.0) -> str:
        invocation = an_invocation(f"id-{next(self._numbers)}", name, delay=delay)
        answer = self.run(lifecycle.accept(invocation, message(invocation.id)))
        assert answer.outcome is Accepting.ACCEPTED
        return invocation.id

    def claim(
        self, worker: str = "w1", *, room: int = 1, queues: Sequence[str] = (QUEUE,)
    ) -> list[tuple[Claim, bytes]]:
        taken = self.run(claims.claim(worker, queues=queues, room=room))
        return list(taken.messages)

    def claim_one(self, worker: str = "w1", *, queues: Sequence[str] = (QUEUE,)) -> Claim:
        ((held, _),) = self.claim(worker, queues=queues)
        return held

    def start(self, held: Claim, name: str, *, concurrency: int | None = None) -> Started:
        answer = self.run(lifecycle.start(held, name, concurrency=concurrency, max_deliveries=3))
        assert isinstance(answer, Started)
        return answer

    def run_one(self, worker: str = "w1", *, concurrency: int | None = None) -> tuple[Claim, str]:
        """Claim one message and start its invocation."""
        ((held, raw),) = self.claim(worker)
        assert self.start(held, id_of(raw), concurrency=concurrency).verdict is Verdict.RUN
        return held, id_of(raw)

    def succeed(self, held: Claim, invocation_id: str) -> Any:
        return self.run(success(held, invocation_id))

    def fail(self, held: Claim, invocation_id: str) -> Any:
        return self.run(
            lifecycle.finish(
                held,
                invocation_id,
                status=Status.FAILED,
                celery_result=b"{}",
                retention=RETENTION,
                error=ERROR,
                dead_letter=DeadLetterReason.PERMANENT,
            )
        )

    def retry(self, held: Claim, invocation_id: str) -> Any:
        return self.run(another_try(held, invocation_id))

    def cancel(self, invocation_id: str, *, remember_unknown_seconds: int = 0) -> Cancelling:
        answer = self.run(
            lifecycle.cancel(
                invocation_id,
                error=ERROR,
                celery_result=b"{}",
                retention=RETENTION,
                remember_unknown_seconds=remember_unknown_seconds,
            )
        )
        assert isinstance(answer, Cancelling)
        return answer

    def quarantine(self, held: Claim, dead_letter_id: str) -> bool:
        answer = self.run(
            claims.quarantine(
                held,
                dead_letter=an_invocation(dead_letter_id, "f"),
                error=ERROR,
                reason="Malformed",
                retention=RETENTION,
            )
        )
        assert isinstance(answer, bool)
        return answer

    def park(self, count: int) -> list[str]:
        """Start one attempt of a function with one slot by `w1`; park more behind it."""
        self.accept()
        self.run_one(concurrency=1)
        ids = [self.accept() for _ in range(count)]
        for held, raw in self.claim("w2", room=count):
            assert self.start(held, id_of(raw), concurrency=1).verdict is Verdict.PARKED
        return ids

    def record(self, invocation_id: str) -> Record:
        answer = self.run(records.read(invocation_id, retention=RETENTION))
        assert isinstance(answer, Record)
        return answer

    def status(self, invocation_id: str) -> Status:
        return self.record(invocation_id).status

    def let_lease_lapse(self, worker: str, *, seconds: float = 5.0) -> None:
        self.raw.zadd("eyas:leases", {worker: self.now_us() - round(seconds * 1e6)})

    def sweep(self) -> list[claims.Lapsed]:
        answer = self.run(claims.sweep(gap_seconds=NO_GAP))
        assert isinstance(answer, list)
        return answer

    def let_all_come_due(self) -> int:
        for name in self.raw.zrange("eyas:delayed", 0, -1):
            self.raw.zadd("eyas:delayed", {name: self.now_us() - 1})
        answer = self.run(upkeep.queue_due(limit=1000))
        assert isinstance(answer, upkeep.Due)
        return answer.moved

    def find_suspects(self, *, limit: int) -> list[upkeep.Suspect]:
        found: list[upkeep.Suspect] = []
        position: str | None = ""
        while position is not None:
            step = upkeep.find_suspects(older_than_seconds=0, limit=limit, position=position)
            page = self.run(step)
            assert len(page.suspects) <= limit
            found += page.suspects
            position = page.next_position
        return found

    def queued(self, queue: str = QUEUE) -> list[bytes]:
        """Return the messages of a queue, the next one first."""
        return list(reversed(self.raw.lrange(queue, 0, -1)))

    def queued_ids(self, queue: str = QUEUE) -> list[str]:
        return [id_of(raw) for raw in self.queued(queue)]

    def counts(self, name: str = "f") -> dict[str, int]:
        counted = self.run(records.read_counts(name))
        return {status: number for status, number in counted.items() if number}

    def assert_conserved(self) -> None:
        assert self.run(upkeep.take_census()).problems() == []


@contextlib.contextmanager
def listening(
    url: str, raw: redis.Redis, worker: str, *, is_traced: bool = False
) -> Iterator[Callable[[], Ticket]]:
    """Listen for a worker; the function returned waits for the next ticket."""
    sockets: list[int] = []
    handover = Handover(
        url,
        worker=worker,
        on_open=sockets.append,
        on_close=sockets.remove,
        is_traced=is_traced,
    )
    handover.open()
    until = time.monotonic() + 5
    while not raw.pubsub_numsub(keys.handover(worker))[0][1]:
        assert time.monotonic() < until

    def receive() -> Ticket:
        while True:
            assert select.select(sockets, [], [], 5)[0], "nothing was handed over"
            for ticket in handover.receive():
                return ticket

    try:
        yield receive
    finally:
        handover.close()


def an_invocation(
    invocation_id: str, name: str = "f", *, delay: float = 0.0, payload: bytes = b"{}"
) -> Invocation:
    return Invocation(
        id=invocation_id,
        function=name,
        payload=payload,
        trigger="http",
        timeout_seconds=30,
        retries=2,
        delay_seconds=delay,
    )


def success(held: Claim, invocation_id: str) -> Step[Any]:
    return lifecycle.finish(
        held,
        invocation_id,
        status=Status.SUCCEEDED,
        celery_result=b"{}",
        retention=RETENTION,
        result=b"1",
    )


def another_try(held: Claim, invocation_id: str) -> Step[Any]:
    return lifecycle.retry(
        held,
        invocation_id,
        delay_seconds=1000,
        error=ERROR,
        celery_result=b"{}",
        retention=RETENTION,
    )


def message(invocation_id: str) -> bytes:
    return b'{"body":"","headers":{"id":"%s"}}' % invocation_id.encode()


def id_of(raw: bytes) -> str:
    return raw.rsplit(b'"id":"', 1)[1].split(b'"')[0].decode()


def numbers(ids: Sequence[str]) -> list[int]:
    return [int(one.rsplit("-", 1)[1]) for one in ids]
