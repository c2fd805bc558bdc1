"""The store against a plain model of it: any interleaving of steps, crashes and losses.

Hypothesis chooses what happens; after each step the broker holds exactly what the model says, and
what must hold of any broker holds. At the end everything that was accepted is run to its end.

`EYAS_CHAOS=long` tries many more interleavings than `make test` does, and other ones each time.
"""

import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import NoneType
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from runtime.invocation import TERMINAL, IdempotencyKey, Invocation, Record, Status
from runtime.policy import DeadLetterReason
from runtime.scheduler.reconciler import Search
from runtime.settings import Retention
from runtime.store import Store, claims, dead_letters, keys, lifecycle, records, upkeep
from runtime.store.changes import read_change
from runtime.store.claims import Claim
from runtime.store.lifecycle import Accepting, Cancelling, Ended, ToBeCancelled, Verdict
from runtime.store.records import Gone
from runtime.store.step import Step
from runtime.testing import Stack
from tests.store_bench import listening

IS_LONG = os.environ.get("EYAS_CHAOS") == "long"
QUEUE = "celery"
LESS_URGENT = "celery\x06\x163"
QUEUES = (QUEUE, LESS_URGENT)
WORKERS = ("w1", "w2", "w3")
FUNCTIONS = ("narrow", "free")
MAX_DELIVERIES = 2
RETENTION = Retention(record_seconds=10_000, dead_letter_seconds=20_000, id_seconds=30_000)
ERROR = b'{"type":"ValueError","message":"no","stack_trace":[]}'
FAR_SECONDS = 5_000.0
# Examples are far shorter than this, so leases lapse and times come only when a rule says so.
NO_GAP = 1e6

# How a message begins that web wrote (`runtime.message.OURS`).
OURS = b'{"headers":{"eyas_trigger":"http","task":"%s","id":"%s","lang":"py"},"body":"\\u0000"}'

# The id in a message, and how often it was delivered before.
Message = tuple[str, int]

DUMP = """
local dump = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind = redis.call('TYPE', key).ok
  local held
  if kind == 'string' then held = redis.call('GET', key)
  elseif kind == 'hash' then held = redis.call('HGETALL', key)
  elseif kind == 'list' then held = redis.call('LRANGE', key, 0, -1)
  elseif kind == 'set' then held = redis.call('SMEMBERS', key)
  else held = redis.call('ZRANGE', key, 0, -1) end
  dump[#dump + 1] = {key, kind, held, redis.call('TTL', key)}
end
return dump
"""


@dataclass(kw_only=True)
class Life:
    """What the model knows of one record."""

    id: str
    function: str
    status: Status = Status.QUEUED
    attempt: int = 0
    failures: int = 0
    crashes: int = 0
    claim: Claim | None = None
    is_cancel_requested: bool = False
    is_too_old: bool = False
    has_parked: bool = False
    is_delayed: bool = False
    is_dead_letter: bool = False
    is_malformed: bool = False
    stored_queue: str | None = None

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL


@dataclass(kw_only=True)
class Model:
    """Places and statuses, moved as `runtime/store/keys.py` and the steps' texts say."""

    bare: dict[str, bytes] = field(default_factory=dict)
    lives: dict[str, Life] = field(default_factory=dict)
    queues: dict[str, list[Message]] = field(default_factory=lambda: defaultdict(list))
    landing: dict[str, list[Message]] = field(default_factory=lambda: defaultdict(list))
    in_flight: dict[Claim, Message] = field(default_factory=dict)
    running: dict[Claim, str] = field(default_factory=dict)
    cancelling: set[tuple[str, str]] = field(default_factory=set)
    slots: dict[str, set[Claim]] = field(default_factory=lambda: defaultdict(set))
    parked: dict[str, list[tuple[str, Message]]] = field(default_factory=lambda: defaultdict(list))
    limits: dict[str, int] = field(default_factory=dict)
    leases: set[str] = field(default_factory=set)
    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    seen: set[str] = field(default_factory=set)
    revoked: set[str] = field(default_factory=set)
    dead_letters: list[str] = field(default_factory=list)
    # Every status that each has got since it was looked at last.
    told: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    sequence: int = 0

    def accept(self, name: str, function: str, *, delayed: bool, queued: bool) -> None:
        self.lives[name] = Life(id=name, function=function)
        self.counts[function].update(("accepted", Status.QUEUED))
        self.told[name].append(Status.QUEUED)
        if not queued:
            self.lives[name].is_cancel_requested = name in self.revoked
            self.revoked.discard(name)
        elif delayed:
            self.lives[name].is_delayed = True
            self.lives[name].stored_queue = QUEUE
        else:
            self.queues[QUEUE].insert(0, (name, 0))

    def become(self, life: Life, status: Status) -> None:
        self.counts[life.function][life.status] -= 1
        self.counts[life.function][status] += 1
        self.told[life.id].append(status)
        life.status = status

    def claim(self, worker: str, room: int) -> list[tuple[Claim, Message, bool | None]]:
        """Return each claim with its message, and whether it is fresh; None if it is no ticket."""
        taken: list[tuple[Claim, Message, bool | None]] = []
        lists = [(self.landing[worker], QUEUE), *((self.queues[queue], queue) for queue in QUEUES)]
        for messages, queue in lists:
            while messages and len(taken) < room:
                message = messages.pop()
                self.sequence += 1
                held = Claim(worker=worker, tag=f"{self.sequence}:{message[1] + 1}:{queue}")
                self.in_flight[held] = message
                taken.append((held, message, self.is_fresh(held, message)))
        self.leases.add(worker)
        return taken

    def is_ours(self, name: str) -> bool:
        return self.bare[name].startswith(b'{"headers":{"eyas_trigger":')

    def is_fresh(self, held: Claim, message: Message) -> bool | None:
        name, deliveries = message
        if not self.is_ours(name):
            return None
        life = self.lives.get(name)
        if (
            life is None
            or deliveries
            or life.status is not Status.QUEUED
            or life.claim is not None
            or life.is_delayed
            or life.is_cancel_requested
            or life.has_parked
            or life.is_too_old
            or life.function in self.limits
        ):
            return False
        life.claim = held
        return True

    def note_begun(self, held: Claim, name: str) -> bool:
        life = self.lives.get(name)
        if held not in self.in_flight or life is None or life.claim != held or life.is_terminal:
            return False
        if life.status is not Status.RUNNING:
            self.become(life, Status.RUNNING)
            life.attempt += 1
            self.running[held] = name
        return True

    def counted(self, message: Message, deliveries: int) -> Message:
        return (message[0], deliveries if self.bare[message[0]].startswith(b'{"') else 0)

    def hand_over(self, worker: str, name: str, function: str) -> Claim | None:
        """Accept an invocation that may be claimed at once for a worker that listens."""
        self.accept(name, function, delayed=False, queued=True)
        has_work = self.landing[worker] or any(one.worker == worker for one in self.in_flight)
        if len(self.queues[QUEUE]) > 1 or has_work or function in self.limits:
            return None
        message = self.queues[QUEUE].pop()
        self.sequence += 1
        held = Claim(worker=worker, tag=f"{self.sequence}:1:{QUEUE}")
        self.in_flight[held] = message
        self.lives[name].claim = held
        return held

    def wake(self, function: str) -> None:
        if self.parked[function]:
            queue, message = self.parked[function].pop()
            self.queues[queue].append(message)

    def let_go(self, held: Claim) -> None:
        self.in_flight.pop(held, None)
        name = self.running.pop(held, None)
        if name is None:
            return
        self.cancelling.discard((held.worker, name))
        function = self.lives[name].function
        if held in self.slots[function]:
            self.slots[function].discard(held)
            self.wake(function)

    def give_back(self, held: Claim, *, is_fault: bool) -> None:
        message = self.in_flight[held]
        life = self.lives.get(message[0])
        if held in self.running:
            if life is not None and life.status is Status.RUNNING and life.claim == held:
                self.become(life, Status.QUEUED)
                life.crashes += is_fault
        elif self.is_ours(message[0]):
            self.cancelling.discard((held.worker, message[0]))
            if life is not None and life.claim == held:
                # With a fault it may have begun, without a word; else it has not.
                life.attempt += is_fault
                life.claim = held if is_fault else None
        self.let_go(held)
        deliveries = held.deliveries if is_fault else held.deliveries - 1
        self.queues[held.queue].append(self.counted(message, deliveries))

    def give_back_all(self, worker: str, *, is_fault: bool, unstarted_only: bool = False) -> int:
        given = [
            held
            for held in self.in_flight
            if held.worker == worker and not (unstarted_only and held in self.running)
        ]
        given.sort(key=lambda held: int(held.tag.split(":")[0]), reverse=True)
        landed = self.landing.pop(worker, [])
        self.queues[QUEUE] += landed
        for held in given:
            self.give_back(held, is_fault=is_fault)
        return len(given) + len(landed)

    def forget(self, worker: str) -> None:
        for held in [one for one in self.running if one.worker == worker]:
            self.let_go(held)
        self.leases.discard(worker)
        self.cancelling = {one for one in self.cancelling if one[0] != worker}

    def start(self, held: Claim, name: str, limit: int | None) -> Verdict:  # noqa: C901, PLR0911
        life = self.lives.get(name)
        if held not in self.in_flight:
            return Verdict.STALE
        if life is None or life.is_terminal:
            self.let_go(held)
            if life is not None:
                self.pass_on(life, limit)
            return Verdict.FINISHED
        if life.status is Status.RUNNING and life.claim == held:
            return Verdict.RUN
        is_in_other_hands = life.claim != held and life.claim in self.in_flight
        if is_in_other_hands or (life.is_delayed and life.status is not Status.RUNNING):
            self.let_go(held)
            self.pass_on(life, limit)
            return Verdict.DUPLICATE
        if life.status is Status.RUNNING and life.claim is not None:
            self.become(life, Status.QUEUED)
            self.let_go(life.claim)
        if life.is_delayed:
            self.let_go(held)
            self.pass_on(life, limit)
            return Verdict.DUPLICATE
        for forbids, verdict in (
            (life.is_cancel_requested, Verdict.CANCELLED),
            (life.is_too_old, Verdict.EXPIRED),
            (life.crashes >= MAX_DELIVERIES, Verdict.POISON),
        ):
            if forbids:
                self.pass_on(life, limit)
                return verdict
        if not self.has_slot(life, held, limit):
            return Verdict.PARKED
        self.become(life, Status.RUNNING)
        life.attempt += 1
        life.claim = held
        life.has_parked = False
        self.running[held] = name
        return Verdict.RUN

    def has_slot(self, life: Life, held: Claim, limit: int | None) -> bool:
        if limit is None:
            self.limits.pop(life.function, None)
            if life.has_parked:
                self.wake(life.function)
            return True
        self.limits[life.function] = limit
        if len(self.slots[life.function]) < limit:
            self.slots[life.function].add(held)
            return True
        parcel = (held.queue, self.in_flight[held])
        waiting = self.parked[life.function]
        waiting.insert(len(waiting) if life.has_parked else 0, parcel)
        life.has_parked = True
        self.let_go(held)
        return False

    def pass_on(self, life: Life, limit: int | None) -> None:
        if life.has_parked or (limit or 0) > len(self.slots[life.function]):
            self.wake(life.function)

    def end(self, life: Life, status: Status) -> None:
        self.become(life, status)
        life.is_delayed = False
        life.stored_queue = None
        self.seen.add(life.id)

    def finish(
        self, held: Claim, name: str, status: Status, *, is_dead_letter: bool, has_run: bool = False
    ) -> bool:
        life = self.lives.get(name)
        if held not in self.in_flight:
            return False
        if life is None or life.is_terminal:
            self.let_go(held)
            return False
        if life.status is Status.RUNNING and held not in self.running:
            return False
        life.attempt += has_run and held not in self.running
        self.end(life, status)
        if is_dead_letter:
            self.bury(life, held.queue)
        self.let_go(held)
        if life.is_cancel_requested:
            self.cancelling.discard((held.worker, name))
        return True

    def bury(self, life: Life, queue: str) -> None:
        life.is_dead_letter = True
        life.stored_queue = queue
        self.dead_letters.append(life.id)

    def retry(self, held: Claim, name: str) -> type[Ended | ToBeCancelled | None]:
        life = self.lives.get(name)
        if life is None or life.status is not Status.RUNNING or life.claim != held:
            return NoneType
        if held not in self.in_flight:
            return NoneType
        if life.is_cancel_requested:
            return ToBeCancelled
        self.become(life, Status.RETRYING)
        life.failures += 1
        life.is_delayed = True
        life.stored_queue = held.queue
        self.let_go(held)
        return Ended

    def put_off(self, held: Claim, name: str) -> bool:
        life = self.lives.get(name)
        if held not in self.in_flight or life is None or life.is_terminal or life.is_delayed:
            return False
        if life.status is Status.RUNNING:
            return False
        life.is_delayed = True
        life.stored_queue = held.queue
        self.let_go(held)
        return True

    def cancel(self, name: str) -> Cancelling:
        life = self.lives.get(name)
        if life is None:
            self.revoked.add(name)
            return Cancelling.UNKNOWN
        if life.is_terminal:
            return Cancelling.FINISHED
        if life.status is Status.RUNNING or life.claim in self.in_flight:
            life.is_cancel_requested = True
            if life.claim is not None and life.claim in self.in_flight:
                self.cancelling.add((life.claim.worker, name))
            return Cancelling.STOPPING
        if life.stored_queue is not None and name.startswith("stock-"):
            # A chord may have to hear of it.
            self.queues[life.stored_queue].insert(0, (name, 0))
        self.end(life, Status.CANCELLED)
        return Cancelling.CANCELLED

    def redrive(self, name: str) -> bool:
        life = self.lives.get(name)
        if life is None or not life.is_dead_letter or life.stored_queue is None:
            return False
        self.dead_letters.remove(name)
        self.queues[life.stored_queue].insert(0, (name, 0))
        life.is_dead_letter = False
        life.stored_queue = None
        if not life.is_malformed:
            self.become(life, Status.QUEUED)
            life.failures = life.crashes = 0
            life.claim = None
            life.is_cancel_requested = life.is_too_old = life.has_parked = False
        return True

    def queue_due(self, name: str) -> None:
        life = self.lives[name]
        assert life.stored_queue is not None
        self.queues[life.stored_queue].insert(0, (name, 0))
        life.is_delayed = False
        life.stored_queue = None

    def put_back(self, suspect: upkeep.Suspect) -> bool:
        life = self.lives.get(suspect.id)
        if life is None or life.is_terminal or life.is_delayed:
            return False
        if (life.status, life.attempt) != (suspect.status, suspect.attempt):
            return False
        if life.status is Status.RUNNING and life.claim is not None:
            if life.claim in self.in_flight:
                return False
            self.become(life, Status.QUEUED)
            self.let_go(life.claim)
        self.queues[QUEUE].append((life.id, 0))
        return True

    def sweep(self, lapsed: str | None, *, is_long_ago: bool) -> int:
        given = 0
        if lapsed is not None:
            given = self.give_back_all(lapsed, is_fault=True)
            if not given and is_long_ago:
                self.forget(lapsed)
        for function in list(self.parked):
            if len(self.slots[function]) < self.limits.get(function, 1):
                self.wake(function)
        return given

    def open(self) -> list[Life]:
        return [life for life in self.lives.values() if not life.is_terminal]

    def messages(self) -> list[str]:
        """Return the id of each message that is not in a record."""
        return [
            message[0]
            for messages in (
                *self.queues.values(),
                *self.landing.values(),
                self.in_flight.values(),
                *([message for _, message in parcels] for parcels in self.parked.values()),
            )
            for message in messages
        ]

    def lost(self) -> set[str]:
        messages = set(self.messages())
        return {life.id for life in self.open() if not life.is_delayed and life.id not in messages}


class StoreMachine(RuleBasedStateMachine):
    def __init__(self, store: Store, raw: redis.Redis, url: str) -> None:
        super().__init__()
        self.store = store
        self.url = url
        self.raw = raw
        self.raw.flushall()
        self.news = raw.pubsub()
        self.news.subscribe(*map(keys.changes, Status))
        self.model = Model()
        self.limit: int | None = 1
        self.claims: list[tuple[Claim, str]] = []
        # Of these, what may be run without a word.
        self.fresh: set[Claim] = set()
        self.idempotency: dict[tuple[str, str], tuple[str, str]] = {}
        self.functions: dict[str, str] = {}
        self.suspects: list[upkeep.Suspect] = []
        # Those of which a message was lost, or made twice, on purpose.
        self.disturbed: set[str] = set()
        self.terminal: dict[str, Status] = {}

    # --- small things --------------------------------------------------------------------------

    def run(self, step: Step[Any]) -> Any:
        return self.store.run(step)

    def now_us(self) -> int:
        seconds, microseconds = self.raw.time()
        return int(seconds) * 1_000_000 + int(microseconds)

    def name_new(self, kind: str, function: str, raw: bytes | None = None) -> str:
        name = f"{kind}-{len(self.functions)}"
        self.functions[name] = function
        if kind == "http":
            raw = OURS % (function.encode(), name.encode())
        self.model.bare[name] = raw or b'{"body":"\\u0000","headers":{"id":"%s"}}' % name.encode()
        return name

    def invocation(self, name: str, *, is_delayed: bool = False) -> Invocation:
        return Invocation(
            id=name,
            function=self.functions[name],
            payload=b"{}",
            trigger="celery" if self.is_stock(name) else "http",
            timeout_seconds=30,
            retries=1,
            delay_seconds=FAR_SECONDS if is_delayed else 0,
        )

    def is_stock(self, name: str) -> bool:
        return name.startswith("stock-")

    def is_junk(self, name: str) -> bool:
        return name.startswith("junk-")

    def bytes_of(self, message: Message) -> bytes:
        name, deliveries = message
        bare = self.model.bare[name]
        return b'{"deliveries":%d,%s' % (deliveries, bare[1:]) if deliveries else bare

    def pick_claim(self, pick: int) -> tuple[Claim, str]:
        """Return a claim: most often one that runs, or else one that is held."""
        running = [one for one in self.claims if one[0] in self.model.running]
        held = [one for one in self.claims if one[0] in self.model.in_flight]
        choices = (running or held, running or held, held, self.claims)[pick % 4]
        return one_of(choices or self.claims, pick // 4)

    def pick_name(self, pick: int) -> str:
        """Return an id: most often that of an open invocation."""
        is_open = [life.id for life in self.model.open()]
        return one_of((is_open if pick % 4 else None) or list(self.functions), pick // 4)

    def limit_of(self, name: str) -> int | None:
        return self.limit if self.functions[name] == "narrow" else None

    def adopt(self, name: str) -> Accepting:
        answer = self.run(lifecycle.accept(self.invocation(name), b""))
        if name in self.model.lives:
            assert answer.outcome is Accepting.KNOWN
        else:
            assert answer.outcome is Accepting.ACCEPTED
            self.model.accept(name, self.functions[name], delayed=False, queued=False)
        assert isinstance(answer.outcome, Accepting)
        return answer.outcome

    def step_start(self, held: Claim, name: str) -> Verdict:
        limit = self.limit_of(name)
        slots_before = len(self.model.slots[self.functions[name]])
        answer = self.run(
            lifecycle.start(held, name, concurrency=limit, max_deliveries=MAX_DELIVERIES)
        )
        was_running = self.model.running.get(held)
        expected = self.model.start(held, name, limit)
        assert answer.verdict is expected
        if expected is Verdict.RUN:
            life = self.model.lives[name]
            assert (answer.attempt, answer.failures) == (life.attempt, life.failures)
            if limit is not None and was_running is None and name not in self.disturbed:
                assert slots_before < limit
        return expected

    def step_finish(self, held: Claim, name: str, status: Status, *, is_dead_letter: bool) -> bool:
        return self.step_finish_all([(held, name)], status, is_dead_letter=is_dead_letter)[0]

    def step_finish_all(
        self, chosen: list[tuple[Claim, str]], status: Status, *, is_dead_letter: bool
    ) -> list[bool]:
        """Finish what one worker holds; what is fresh has run without a word."""
        finishes = [
            lifecycle.Finish(
                held=held,
                id=name,
                status=status,
                celery_result=b"{}",
                result=b"1" if status is Status.SUCCEEDED else None,
                error=None if status is Status.SUCCEEDED else ERROR,
                dead_letter=DeadLetterReason.PERMANENT if is_dead_letter else None,
                ran=(0.2, 0.1) if held in self.fresh else None,
            )
            for held, name in chosen
        ]
        step = lifecycle.finish_all(finishes, retention=RETENTION)
        answers = self.run(step)
        assert self.run(step) == answers
        have_ended = [
            self.model.finish(
                held, name, status, is_dead_letter=is_dead_letter, has_run=held in self.fresh
            )
            for held, name in chosen
        ]
        assert [answer is not None for answer in answers] == have_ended
        for (_, name), answer in zip(chosen, answers, strict=True):
            assert answer is None or answer.attempt == self.model.lives[name].attempt
        return have_ended

    def step_sweep(self, lapsed: str | None = None, *, is_long_ago: bool = False) -> None:
        now = self.now_us()
        for worker in sorted(self.model.leases):
            ago = 0 if worker != lapsed else 100 if is_long_ago else 10
            self.raw.zadd("eyas:leases", {worker: now + 2_000_000 - ago * 1_000_000})
        expected = self.model.sweep(lapsed, is_long_ago=is_long_ago)
        answer = self.run(claims.sweep(gap_seconds=NO_GAP))
        assert [(one.worker, one.messages) for one in answer] == (
            [(lapsed, expected)] if expected else []
        )

    def step_come_due(self, names: list[str]) -> None:
        """Let their time come, in the order of their names."""
        now = self.now_us()
        for number, name in enumerate(sorted(names)):
            self.raw.zadd("eyas:delayed", {name: now - 1000 + number})
            self.model.queue_due(name)
        assert self.run(upkeep.queue_due(limit=1000)).moved == len(names)

    def step_reconcile(self) -> None:
        """Look for what is lost as the scheduler does, and put it back."""
        found: list[upkeep.Suspect] = []
        position: str | None = ""
        while position is not None:
            page = self.run(upkeep.find_suspects(older_than_seconds=0, limit=2, position=position))
            found += page.suspects
            position = page.next_position
        lost = list(Search(store=self.store).missing(found).values())
        assert {one.id for one in lost} == self.model.lost()
        self.suspects += found
        for one in lost:
            assert self.run(upkeep.put_back(one, self.model.bare[one.id])) is True
            assert self.model.put_back(one) is True

    # --- accepting -----------------------------------------------------------------------------

    @rule(
        function=st.sampled_from(FUNCTIONS), is_delayed=st.booleans(), most=st.sampled_from((0, 3))
    )
    def accept(self, function: str, *, is_delayed: bool, most: int) -> None:
        name = self.name_new("http", function)
        step = lifecycle.accept(
            self.invocation(name, is_delayed=is_delayed), self.model.bare[name], max_open=most
        )
        answer = self.run(step)
        if most and len(self.model.open()) >= most:
            assert answer.outcome is Accepting.FULL
            return
        assert answer.outcome is Accepting.ACCEPTED
        assert self.run(step).outcome is Accepting.KNOWN
        self.model.accept(name, function, delayed=is_delayed, queued=True)

    @rule(
        worker=st.sampled_from(WORKERS), function=st.sampled_from(FUNCTIONS), is_idle=st.booleans()
    )
    def accept_while_a_worker_listens(self, worker: str, function: str, *, is_idle: bool) -> None:
        if is_idle:
            self.requeue_unstarted(worker)  # with what has landed
            self.claim("w1" if worker != "w1" else "w2", 100)
        self.renew(worker, is_consuming=True)
        name = self.name_new("http", function)
        with listening(self.url, self.raw, worker) as receive:
            step = lifecycle.accept(self.invocation(name), self.model.bare[name])
            assert self.run(step).outcome is Accepting.ACCEPTED
            held = self.model.hand_over(worker, name, function)
            if held is not None:
                ticket = receive()
                assert (ticket.held, ticket.id, ticket.fresh) == (held, name, True)
                self.claims.append((held, name))
                self.fresh.add(held)
            assert self.run(step).outcome is Accepting.KNOWN

    @rule(
        pick=st.integers(0, 999),
        function=st.sampled_from(FUNCTIONS),
        key=st.sampled_from(("one", "two: ü\n", None)),
    )
    def accept_what_may_be_known(self, pick: int, function: str, key: str | None) -> None:
        if key is not None:
            self.accept_with_key(function, key, digest=f"d{pick % 2}")
        elif self.functions:
            self.accept_an_id_again(pick // 2, is_delayed=pick % 2 == 0)

    def accept_with_key(self, function: str, key: str, digest: str) -> None:
        name = self.name_new("http", function)
        answer = self.run(
            lifecycle.accept(
                self.invocation(name),
                self.model.bare[name],
                idempotency=IdempotencyKey(key=key, digest=digest, ttl_seconds=10_000),
            )
        )
        used = self.idempotency.get((function, key))
        if used is None:
            assert (answer.outcome, answer.id) == (Accepting.ACCEPTED, name)
            self.idempotency[function, key] = (digest, name)
            self.model.accept(name, function, delayed=False, queued=True)
        else:
            expected = Accepting.REPLAYED if used[0] == digest else Accepting.CONFLICT
            assert (answer.outcome, answer.id) == (expected, used[1])

    def accept_an_id_again(self, pick: int, *, is_delayed: bool) -> None:
        name = one_of(list(self.functions), pick)
        if not name.startswith("http-"):
            return
        answer = self.run(
            lifecycle.accept(self.invocation(name, is_delayed=is_delayed), self.model.bare[name])
        )
        if name in self.model.lives:
            assert answer.outcome is Accepting.KNOWN
            return
        assert answer.outcome is Accepting.ACCEPTED
        # A message of its former life may be around.
        self.disturbed.add(name)
        self.terminal.pop(name, None)
        self.model.accept(name, self.functions[name], delayed=is_delayed, queued=True)

    @rule(
        function=st.sampled_from((*FUNCTIONS, None)),
        queue=st.sampled_from(QUEUES),
        nonsense=st.sampled_from((b'{"nonsense":%d}', b"%d\x00\xff", b'[{"deliveries":1,%d')),
    )
    def send(self, function: str | None, queue: str, nonsense: bytes) -> None:
        if function is not None:
            self.send_as_celery_does(function, queue)
        else:
            self.send_nonsense(nonsense)

    def send_as_celery_does(self, function: str, queue: str) -> None:
        name = self.name_new("stock", function)
        self.raw.lpush(queue, self.model.bare[name])
        self.model.queues[queue].insert(0, (name, 0))

    def send_nonsense(self, raw: bytes) -> None:
        name = self.name_new("junk", "unknown", raw % len(self.functions))
        self.raw.lpush(QUEUE, self.model.bare[name])
        self.model.queues[QUEUE].insert(0, (name, 0))

    # --- workers -------------------------------------------------------------------------------

    @rule(worker=st.sampled_from(WORKERS), room=st.integers(1, 4))
    def claim(self, worker: str, room: int) -> None:
        answer = self.run(claims.claim(worker, queues=QUEUES, room=room))
        expected = self.model.claim(worker, room)
        assert list(answer.messages) == [
            (held, self.bytes_of(message)) for held, message, fresh in expected if fresh is None
        ]
        assert [(one.held, one.id, one.fresh) for one in answer.tickets] == [
            (held, message[0], fresh) for held, message, fresh in expected if fresh is not None
        ]
        for ticket in answer.tickets:
            if ticket.fresh:
                life = self.model.lives[ticket.id]
                assert (ticket.attempts, ticket.failures) == (life.attempt, life.failures)
        self.claims += [(held, message[0]) for held, message, _ in expected]
        self.fresh |= {held for held, _, fresh in expected if fresh}

    def renew(self, worker: str, *, is_consuming: bool) -> None:
        answer = self.run(claims.renew(worker, consumes=is_consuming))
        self.model.leases.add(worker)
        assert set(answer.to_stop) == {
            name for holder, name in self.model.cancelling if holder == worker
        }

    @precondition(lambda self: self.model.leases and self.model.queues[QUEUE])
    @rule(pick=st.integers(0, 99))
    def land(self, pick: int) -> None:
        worker = one_of(sorted(self.model.leases), pick)
        assert self.run(claims.wait_for_message(worker, queue=QUEUE, seconds=1)) is True
        self.model.landing[worker].insert(0, self.model.queues[QUEUE].pop())

    @initialize(
        limit=st.sampled_from((1, 2)),
        functions=st.lists(st.sampled_from(FUNCTIONS), min_size=2, max_size=8),
        started=st.integers(0, 4),
        claimed=st.integers(0, 4),
    )
    def begin_amid_work(self, limit: int, functions: list[str], started: int, claimed: int) -> None:
        self.limit = limit
        for function in functions:
            self.accept(function, is_delayed=False, most=0)
        self.send_as_celery_does("narrow", QUEUE)
        self.claim_and_start("w1", started)
        self.claim("w2", claimed)

    @rule(worker=st.sampled_from(WORKERS), room=st.integers(1, 5))
    def claim_and_start(self, worker: str, room: int) -> None:
        if not any(self.model.queues.values()):
            for function in ("free", *FUNCTIONS):
                self.accept(function, is_delayed=False, most=0)
        self.claim(worker, room)
        self.start_all(worker)

    @rule(worker=st.sampled_from(WORKERS))
    def start_all(self, worker: str) -> None:
        for held, name in self.claims:
            if held.worker == worker and held in self.model.in_flight:
                self.start((held, name))

    @precondition(lambda self: self.model.in_flight)
    @rule(pick=st.integers(0, 99), is_deadly=st.booleans())
    def start_one_and_crash(self, pick: int, *, is_deadly: bool) -> None:
        held, name = one_of([one for one in self.claims if one[0] in self.model.in_flight], pick)
        self.start((held, name))
        if held in self.model.in_flight:
            assert self.run(claims.requeue(held, has_crashed=is_deadly)) is True
            self.model.give_back(held, is_fault=is_deadly)

    @precondition(lambda self: self.claims)
    @rule(pick=st.integers(0, 999))
    def start_one(self, pick: int) -> None:
        self.start(self.pick_claim(pick))

    def start(self, chosen: tuple[Claim, str]) -> None:
        held, name = chosen
        if self.is_junk(name):
            return
        if self.is_stock(name) and held in self.model.in_flight:
            # A worker knows the record of what it starts.
            self.adopt(name)
        self.step_start(held, name)

    @precondition(lambda self: self.claims)
    @rule(
        pick=st.integers(0, 999),
        ending=st.sampled_from(
            (
                (Status.SUCCEEDED, False),
                (Status.FAILED, True),
                (Status.FAILED, True),
                (Status.CANCELLED, False),
                (Status.EXPIRED, True),
            )
        ),
    )
    def finish(self, pick: int, ending: tuple[Status, bool]) -> None:
        held, name = self.pick_claim(pick)
        if self.is_junk(name) or (self.is_stock(name) and name not in self.model.lives):
            return
        self.step_finish(held, name, ending[0], is_dead_letter=ending[1])

    @precondition(lambda self: self.fresh)
    @rule(worker=st.sampled_from(WORKERS), room=st.integers(0, 4), stays=st.booleans())
    def note_begun(self, worker: str, room: int, *, stays: bool) -> None:
        """Note what was begun without a word, some of it in other hands by now."""
        self.claim(worker, room)
        fresh = {n: held for held, n in self.claims if held in self.fresh and held.worker == worker}
        chosen = [(held, name) for name, held in fresh.items()][-4:]
        lost = self.run(claims.note_begun(worker, [(held.tag, n, 0.1) for held, n in chosen]))
        assert lost == {held.tag for held, name in chosen if not self.model.note_begun(held, name)}
        if chosen and not stays:
            self.step_finish_all(chosen, Status.SUCCEEDED, is_dead_letter=False)

    @precondition(lambda self: self.claims)
    @rule(
        worker=st.sampled_from(WORKERS),
        count=st.integers(1, 6),
        is_dead_letter=st.booleans(),
        twice=st.booleans(),
    )
    def finish_together(
        self, worker: str, count: int, *, is_dead_letter: bool, twice: bool
    ) -> None:
        latest = {
            name: held
            for held, name in self.claims
            if held.worker == worker and name in self.model.lives and name.startswith("http-")
        }
        # Dead letters of one instant are listed in the order of their names.
        chosen = [(latest[name], name) for name in sorted(list(latest)[-count:])]
        if chosen:
            status = Status.FAILED if is_dead_letter else Status.SUCCEEDED
            self.step_finish_all(chosen, status, is_dead_letter=is_dead_letter)
            if twice:
                self.step_finish_all(chosen, Status.FAILED, is_dead_letter=True)

    @precondition(lambda self: self.model.running)
    @rule(pick=st.integers(0, 99), then=st.sampled_from(("keep", "redrive", "redrive", "purge")))
    def make_a_dead_letter(self, pick: int, then: str) -> None:
        held, name = one_of(list(self.model.running.items()), pick)
        is_ended = self.step_finish(held, name, Status.FAILED, is_dead_letter=True)
        if is_ended and then == "redrive":
            self.redrive_one(name)
        elif is_ended and then == "purge":
            self.purge_one(name)

    @precondition(lambda self: self.claims)
    @rule(pick=st.integers(0, 999))
    def retry(self, pick: int) -> None:
        held, name = self.pick_claim(pick)
        step = lifecycle.retry(
            held,
            name,
            delay_seconds=FAR_SECONDS,
            error=ERROR,
            celery_result=b"{}",
            retention=RETENTION,
        )
        answer = self.run(step)
        assert type(answer) is self.model.retry(held, name)
        assert self.run(step) == answer

    @precondition(lambda self: self.claims)
    @rule(pick=st.integers(0, 999), is_past=st.booleans())
    def put_off(self, pick: int, *, is_past: bool) -> None:
        held, name = self.pick_claim(pick)
        until = self.now_us() + (-1_000_000 if is_past else round(FAR_SECONDS * 1e6))
        answer = self.run(claims.put_off(held, name, until_us=until))
        assert answer is (not is_past and self.model.put_off(held, name))

    def report_progress(self, pick: int) -> None:
        held, name = self.pick_claim(pick)
        life = self.model.lives.get(name)
        expected = life is not None and life.status is Status.RUNNING and life.claim == held
        assert self.run(lifecycle.progress(held, name, report=b"0.5")) is expected

    @precondition(lambda self: self.claims)
    @rule(pick=st.integers(0, 999), with_claim=st.booleans())
    def acknowledge(self, pick: int, *, with_claim: bool) -> None:
        held, name = self.pick_claim(pick)
        if held in self.model.running or (self.is_stock(name) and name not in self.model.lives):
            # It would be lost with nobody to miss it; no worker does that.
            return
        if with_claim:
            step = claims.claim(held.worker, queues=QUEUES, room=0, acknowledged=[held.tag])
            assert not self.run(step)
            self.model.leases.add(held.worker)
        else:
            assert self.run(claims.acknowledge(held.worker, [held.tag])) == 1
        if held in self.model.in_flight:
            self.disturbed.add(name)
        self.model.let_go(held)

    @precondition(lambda self: self.claims)
    @rule(pick=st.integers(0, 999), has_crashed=st.booleans())
    def requeue(self, pick: int, *, has_crashed: bool) -> None:
        held, _ = self.pick_claim(pick)
        answer = self.run(claims.requeue(held, has_crashed=has_crashed))
        assert answer is (held in self.model.in_flight)
        if answer:
            self.model.give_back(held, is_fault=has_crashed)

    @rule(
        worker=st.sampled_from(WORKERS),
        how=st.sampled_from(("gives back", "crashes", "crashed long ago", "retires")),
    )
    def end_a_worker(self, worker: str, how: str) -> None:
        if how == "gives back":
            self.requeue_unstarted(worker)
        elif how == "retires":
            self.retire(worker)
        elif worker in self.model.leases:
            self.step_sweep(worker, is_long_ago=how == "crashed long ago")

    def requeue_unstarted(self, worker: str) -> None:
        expected = self.model.give_back_all(worker, is_fault=False, unstarted_only=True)
        assert self.run(claims.requeue_unstarted(worker)) == expected

    def retire(self, worker: str) -> None:
        expected = self.model.give_back_all(worker, is_fault=False)
        self.model.forget(worker)
        assert self.run(claims.retire(worker)) == expected

    @precondition(lambda self: any(self.is_junk(name) for _, name in self.claims))
    @rule(pick=st.integers(0, 99))
    def quarantine(self, pick: int) -> None:
        held, _ = one_of([one for one in self.claims if self.is_junk(one[1])], pick)
        name = f"dead-{len(self.functions)}"
        self.functions[name] = "unknown"
        answer = self.run(
            claims.quarantine(
                held,
                dead_letter=self.invocation(name),
                error=ERROR,
                reason="Malformed",
                retention=RETENTION,
            )
        )
        message = self.model.in_flight.get(held)
        assert answer is (message is not None)
        if message is None:
            return
        self.model.bare[name] = self.model.bare[message[0]]
        life = Life(id=name, function="unknown", status=Status.FAILED, is_malformed=True)
        self.model.lives[name] = life
        self.model.counts["unknown"].update(("accepted", Status.FAILED))
        self.model.told[name].append(Status.FAILED)
        self.model.seen.add(name)
        self.model.bury(life, held.queue)
        self.model.let_go(held)

    # --- people, clocks and schedulers ---------------------------------------------------------

    @rule(
        what=st.sampled_from(("limit", "renew", "progress", "dead letters", "sweep")),
        pick=st.integers(0, 999),
    )
    def do_what_moves_little(self, what: str, pick: int) -> None:
        if what == "limit":
            self.limit = one_of([None, 1, 1, 2], pick)
        elif what == "renew":
            self.renew(one_of(list(WORKERS), pick // 2), is_consuming=pick % 2 == 0)
        elif what == "progress" and self.claims:
            self.report_progress(pick)
        elif what == "dead letters":
            self.list_dead_letters(one_of([None, *FUNCTIONS, "unknown"], pick), 1 + pick // 4 % 3)
        else:
            self.step_sweep()

    @precondition(lambda self: self.functions)
    @rule(pick=st.integers(0, 999))
    def cancel(self, pick: int) -> None:
        name = self.pick_name(pick)
        answer = self.run(
            lifecycle.cancel(
                name,
                error=ERROR,
                celery_result=b"{}",
                retention=RETENTION,
                remember_unknown_seconds=10_000,
            )
        )
        assert answer is self.model.cancel(name)

    @precondition(lambda self: self.model.open())
    @rule(pick=st.integers(0, 999))
    def grow_too_old(self, pick: int) -> None:
        life = one_of(self.model.open(), pick)
        if pick % 3:
            # Others would hardly ever run.
            return
        self.raw.hset(f"eyas:invocation:{life.id}", "expires_at", self.now_us() - 1)
        life.is_too_old = True

    @precondition(lambda self: any(life.is_terminal for life in self.model.lives.values()))
    @rule(pick=st.integers(0, 999))
    def let_a_record_expire(self, pick: int) -> None:
        life = one_of([one for one in self.model.lives.values() if one.is_terminal], pick)
        self.raw.delete(f"eyas:invocation:{life.id}")
        self.forget(life)
        assert isinstance(self.run(records.read(life.id, retention=RETENTION)), Gone)

    def forget(self, life: Life) -> None:
        del self.model.lives[life.id]
        self.terminal.pop(life.id, None)
        if life.is_dead_letter:
            self.model.dead_letters.remove(life.id)

    @precondition(lambda self: any(life.is_delayed for life in self.model.open()))
    @rule(pick=st.integers(0, 999), is_all=st.booleans())
    def come_due(self, pick: int, *, is_all: bool) -> None:
        names = [life.id for life in self.model.open() if life.is_delayed]
        self.step_come_due(names if is_all else [one_of(names, pick)])

    @precondition(lambda self: self.functions)
    @rule(pick=st.integers(0, 999), is_dead=st.booleans())
    def redrive(self, pick: int, *, is_dead: bool) -> None:
        name = one_of((is_dead and self.model.dead_letters) or list(self.functions), pick)
        self.redrive_one(name)

    def redrive_one(self, name: str) -> None:
        answer = self.run(dead_letters.redrive(name, max_age_seconds=None))
        assert answer is self.model.redrive(name)
        if answer and not self.model.lives[name].is_malformed:
            self.terminal.pop(name, None)

    @precondition(lambda self: self.functions)
    @rule(pick=st.integers(0, 999), is_dead=st.booleans())
    def purge(self, pick: int, *, is_dead: bool) -> None:
        name = one_of((is_dead and self.model.dead_letters) or list(self.functions), pick)
        self.purge_one(name)

    def purge_one(self, name: str) -> None:
        life = self.model.lives.get(name)
        expected = life is not None and life.is_dead_letter
        assert self.run(dead_letters.purge(name)) is expected
        if life is not None and expected:
            self.forget(life)

    def list_dead_letters(self, function: str | None, limit: int) -> None:
        listed: list[str] = []
        cursor = None
        while True:
            page = self.run(dead_letters.read_page(function=function, limit=limit, cursor=cursor))
            listed += [record.id for record in page.records]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert listed == [
            name
            for name in reversed(self.model.dead_letters)
            if function in {None, self.functions[name]}
        ]

    # --- what should not happen ----------------------------------------------------------------

    @precondition(lambda self: self.functions)
    @rule(pick=st.integers(0, 999))
    def deliver_twice(self, pick: int) -> None:
        name = self.pick_name(pick)
        if name.startswith("dead-"):
            return
        self.raw.lpush(QUEUE, self.model.bare[name])
        self.model.queues[QUEUE].insert(0, (name, 0))
        self.disturbed.add(name)

    @precondition(lambda self: self.model.open())
    @rule(pick=st.integers(0, 999), worker=st.sampled_from(WORKERS), is_finished=st.booleans())
    def handle_a_second_message(self, pick: int, worker: str, *, is_finished: bool) -> None:
        running = list(self.model.running.values()) if pick % 2 else []
        name = one_of(running or [life.id for life in self.model.open()], pick // 2)
        self.raw.rpush(QUEUE, self.model.bare[name])
        self.model.queues[QUEUE].append((name, 0))
        self.disturbed.add(name)
        self.claim(worker, len(self.model.landing[worker]) + 1)
        held, name = self.claims[-1]
        if not is_finished:
            self.start((held, name))
        if held in self.model.in_flight and not self.is_junk(name):
            self.step_finish(held, name, Status.FAILED, is_dead_letter=True)

    @rule(pick=st.integers(0, 99), is_claimed=st.booleans())
    def lose(self, pick: int, *, is_claimed: bool) -> None:
        if is_claimed and self.model.in_flight:
            self.lose_a_claimed_message(pick)
        elif self.model.queues[QUEUE]:
            self.lose_a_message(pick)

    def lose_a_message(self, pick: int) -> None:
        message = one_of(self.model.queues[QUEUE], pick)
        if message[0] not in self.model.lives:
            return
        assert self.raw.lrem(QUEUE, 1, self.bytes_of(message)) == 1
        self.model.queues[QUEUE].remove(message)
        self.disturbed.add(message[0])

    def lose_a_claimed_message(self, pick: int) -> None:
        held = one_of(list(self.model.in_flight), pick)
        name = self.model.in_flight[held][0]
        if name not in self.model.lives:
            return
        self.raw.hdel(f"eyas:in_flight:{held.worker}", held.tag)
        del self.model.in_flight[held]
        self.disturbed.add(name)

    @rule()
    def reconcile(self) -> None:
        self.step_reconcile()

    @precondition(lambda self: self.suspects)
    @rule(pick=st.integers(0, 99))
    def put_back_what_was_missed_long_ago(self, pick: int) -> None:
        suspect = one_of(self.suspects, pick)
        expected = self.model.put_back(suspect)
        assert self.run(upkeep.put_back(suspect, self.model.bare[suspect.id])) is expected
        if expected:
            self.disturbed.add(suspect.id)

    # --- what always holds ---------------------------------------------------------------------

    @invariant()
    def all_is_well(self) -> None:
        found = Found.of(self.raw)
        self.nothing_is_lost_or_done_twice(found)
        self.the_broker_is_as_the_model_says(found)
        self.every_change_was_told()

    def every_change_was_told(self) -> None:
        """Who listens to all statuses hears each change of each invocation, in its order."""
        heard: dict[str, list[str]] = defaultdict(list)
        # What was published before is answered before.
        self.news.ping()
        while (news := self.news.get_message(timeout=None)) is not None and news["type"] != "pong":
            if news["type"] == "message":
                status = Status(news["channel"].decode().removeprefix(keys.changes("")))
                change = read_change(status, news["data"])
                heard[change.id].append(change.status)
                assert change.function == self.functions[change.id]
        assert heard == self.model.told
        self.model.told.clear()

    def the_broker_is_as_the_model_says(self, found: "Found") -> None:
        model = self.model

        def raws(messages: list[Message]) -> list[bytes]:
            return [self.bytes_of(message) for message in messages]

        assert found.lists("celery") == {
            queue: raws(messages) for queue, messages in model.queues.items() if messages
        }
        assert found.lists("eyas:landing:") == {
            f"eyas:landing:{worker}": raws(messages)
            for worker, messages in model.landing.items()
            if messages
        }
        assert found.lists("eyas:parked:") == {
            f"eyas:parked:{function}": [
                b"%s\n%s" % (queue.encode(), self.bytes_of(message)) for queue, message in parcels
            ]
            for function, parcels in model.parked.items()
            if parcels
        }
        assert found.claims("eyas:in_flight:") == {
            held: self.bytes_of(message) for held, message in model.in_flight.items()
        }
        assert found.claims("eyas:running:") == {
            held: name.encode() for held, name in model.running.items()
        }
        assert found.members("eyas:cancelling:") == model.cancelling
        assert found.members("eyas:slots:") == {
            (function, f"{held.worker} {held.tag}")
            for function, slots in model.slots.items()
            for held in slots
        }
        assert found.zset("eyas:leases") == model.leases
        assert found.zset("eyas:open") == {life.id for life in model.open()}
        assert found.zset("eyas:delayed") == {life.id for life in model.open() if life.is_delayed}
        assert set(found.records) == set(model.lives)
        for name, life in model.lives.items():
            record = found.records[name]
            assert (
                record["status"],
                int(record["attempt"]),
                int(record.get("failures", 0)),
                int(record.get("crashes", 0)),
                "cancel_requested" in record,
                "dead_letter" in record,
                record.get("queue"),
            ) == (
                life.status,
                life.attempt,
                life.failures,
                life.crashes,
                life.is_cancel_requested,
                life.is_dead_letter,
                life.stored_queue,
            ), name
        assert found.zset("eyas:dead") >= set(model.dead_letters)

    def nothing_is_lost_or_done_twice(self, found: "Found") -> None:
        model = self.model
        places = Counter(found.places())
        for name, record in found.records.items():
            status = Status(record["status"])
            if status in TERMINAL:
                assert self.terminal.setdefault(name, status) is status, "terminal for ever"
                assert found.expires[name], "what has ended is not kept for ever"
                continue
            assert name not in self.terminal, "terminal for ever"
            assert not found.expires[name], "what is open is kept until it ends"
            if name not in self.disturbed:
                assert places[name] == 1, f"{name} is in {places[name]} places"
        attempts = found.claims("eyas:running:")
        assert len(set(attempts.values())) == len(attempts), "one attempt at a time"
        for held, raw_name in attempts.items():
            record = found.records[raw_name.decode()]
            assert record["status"] == Status.RUNNING
            assert record["claim"] == f"{held.worker} {held.tag}"
        holders = {f"{held.worker} {held.tag}" for held in attempts}
        slots = {claim for _, claim in found.members("eyas:slots:")}
        assert slots <= holders, "nobody holds a slot who does not run"
        assert len(slots) <= 2
        waiting = {key.removeprefix("eyas:parked:") for key in found.lists("eyas:parked:")}
        assert waiting <= found.zset("eyas:parked"), "sweeps look at whoever waits"
        # A running invocation whose message was lost may have lost its worker as well.
        running = sum(life.status is Status.RUNNING for life in model.open())
        census = self.run(upkeep.take_census())
        if running == len(attempts):
            assert census.problems() == []
        for function, counted in model.counts.items():
            expected = {status: counted[status] for status in ("accepted", *Status)}
            assert census.functions[function] == expected
        assert census.places["open"] == len(model.open())
        assert census.places["in_flight"] == len(model.in_flight)
        assert census.places["parked"] == sum(map(len, model.parked.values()))

    # --- the end -------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            self.end_all()
        finally:
            self.news.close()

    def end_all(self) -> None:
        """Run everything to its end with a worker that works, and look at what is left."""
        if sys.exc_info()[0] is not None:
            return
        for worker in WORKERS:
            self.retire(worker)
        for _ in range(1000):
            self.step_reconcile()
            self.step_come_due([life.id for life in self.model.open() if life.is_delayed])
            self.step_sweep()
            self.claim("fresh", 3)
            for held, name in self.claims:
                if held in self.model.in_flight:
                    self._complete(held, name)
            has_parked = any(self.model.parked.values())
            if not (self.model.open() or self.model.messages() or has_parked):
                break
        else:
            raise AssertionError("it never ends")
        self.all_is_well()
        for name in self.functions:
            record = self.run(records.read(name, retention=RETENTION))
            assert not isinstance(record, Record) or record.is_terminal
        self.retire("fresh")
        self.step_sweep()
        kept = ("eyas:invocation:", "eyas:counts:", "eyas:dead", "eyas:seen:", "eyas:idempotency:")
        kept += ("eyas:accepted:", "eyas:revoked:", "celery-task-meta-")
        single = {"eyas:claims", "eyas:swept_at", "eyas:functions", "eyas:concurrency"}
        single |= {"eyas:metrics", "eyas:hours", "eyas:outliving"}
        left = {key.decode() for key in self.raw.keys()}  # noqa: SIM118  not a dictionary
        assert {key for key in left if not key.startswith(kept)} <= single

    def _complete(self, held: Claim, name: str) -> None:
        if self.is_junk(name) or name.startswith("dead-"):
            assert self.run(claims.acknowledge(held.worker, [held.tag])) == 1
            self.model.let_go(held)
            return
        if self.is_stock(name):
            self.adopt(name)
        endings = {
            Verdict.RUN: Status.SUCCEEDED,
            Verdict.CANCELLED: Status.CANCELLED,
            Verdict.EXPIRED: Status.EXPIRED,
            Verdict.POISON: Status.FAILED,
        }
        status = endings.get(self.step_start(held, name))
        if status is not None:
            assert self.step_finish(held, name, status, is_dead_letter=False)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is in the broker."""

    keys: dict[str, tuple[str, Any]]
    records: dict[str, dict[str, str]]
    expires: dict[str, bool]

    @classmethod
    def of(cls, raw: redis.Redis) -> "Found":
        keys, records, expires = {}, {}, {}
        for key, kind, held, ttl in raw.eval(DUMP, 0):
            name = key.decode()
            keys[name] = (kind.decode(), held)
            if name.startswith("eyas:invocation:"):
                name = name.removeprefix("eyas:invocation:")
                fields = [one.decode(errors="replace") for one in held]
                records[name] = dict(zip(fields[::2], fields[1::2], strict=True))
                expires[name] = ttl >= 0
        return cls(keys=keys, records=records, expires=expires)

    def lists(self, prefix: str) -> dict[str, list[bytes]]:
        return {
            key: held
            for key, (kind, held) in self.keys.items()
            if kind == "list" and key.startswith(prefix)
        }

    def claims(self, prefix: str) -> dict[Claim, bytes]:
        return {
            Claim(worker=key.removeprefix(prefix), tag=tag.decode()): value
            for key, (kind, held) in self.keys.items()
            if kind == "hash" and key.startswith(prefix)
            for tag, value in zip(held[::2], held[1::2], strict=True)
        }

    def members(self, prefix: str) -> set[tuple[str, str]]:
        return {
            (key.removeprefix(prefix), one.decode())
            for key, (kind, held) in self.keys.items()
            if kind == "set" and key.startswith(prefix)
            for one in held
        }

    def zset(self, key: str) -> set[str]:
        """Return the members of a set, sorted or not."""
        return {one.decode() for one in self.keys.get(key, ("zset", []))[1]}

    def places(self) -> Iterator[str]:
        """Yield the id of each invocation once for each place that it is in."""
        for prefix in ("celery", "eyas:landing:", "eyas:parked:"):
            for messages in self.lists(prefix).values():
                yield from map(id_in, messages)
        yield from map(id_in, self.claims("eyas:in_flight:").values())
        yield from self.zset("eyas:delayed")


def id_in(message: bytes) -> str:
    _, found, after = message.partition(b'"id":"')
    return after.split(b'"')[0].decode() if found else ""


def one_of(choices: list[Any], pick: int) -> Any:
    return choices[pick % len(choices)]


@pytest.fixture
def broker_in_memory(broker: Stack) -> Iterator[tuple[Store, redis.Redis, str]]:
    """The private broker, for once without a write to the disk for each step."""
    raw = redis.Redis.from_url(broker.redis_url)
    store = Store(broker.redis_url)
    before = raw.config_get("appendfsync")["appendfsync"]
    raw.config_set("appendfsync", "no")
    yield store, raw, broker.redis_url
    raw.config_set("appendfsync", before)
    raw.flushall()
    raw.close()
    store.close()


@pytest.mark.timeout(7200 if IS_LONG else 300)
def test_any_interleaving_keeps_every_invocation(
    broker_in_memory: tuple[Store, redis.Redis, str],
) -> None:
    run_state_machine_as_test(
        lambda: StoreMachine(*broker_in_memory),
        settings=settings(
            max_examples=3000 if IS_LONG else 50,
            stateful_step_count=100 if IS_LONG else 60,
            derandomize=not IS_LONG,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
