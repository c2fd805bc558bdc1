"""Gives claimed invocations to executors, and watches over what those do with them.

Everything here happens in the worker's parent process, which runs no handler: whatever a handler
does to its own process, deadlines are kept and leases renewed. docs/decisions/0016-executors.md
says why it is built so.
"""

import itertools
import select
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import msgspec
import structlog

from runtime.errors import BrokerUnavailableError
from runtime.function import Function
from runtime.settings import Settings
from runtime.store import Store, claims, lifecycle
from runtime.store.claims import LARGEST_TICKET_PAYLOAD_BYTES, Ticket
from runtime.store.lifecycle import Started, Verdict
from runtime.worker import refusals
from runtime.worker.debts import Ear
from runtime.worker.executor.child import Executor
from runtime.worker.executor.job import Job, Outcome, Report, Yielded
from runtime.worker.executor.work import Work
from runtime.worker.lanes import Lane, Lanes, may_begin_unnoted
from runtime.worker.settling import Attempt, Settling

_log = structlog.get_logger("worker")

WATCHED_EVERY_SECONDS = 0.02
# What ends sooner is never seen running.
_NOTED_AFTER_SECONDS = 0.02
# Even a machine with much else to do has let a process begin by then.
_STUCK_AFTER_SECONDS = 10.0
# A coroutine that does not end when it is cancelled takes its process with it.
_GRACE_SECONDS = 1.0


class Loop(Ear, Protocol):
    """An event loop."""

    def settle_soon(self) -> None:
        """Call `settle` when this turn is over."""

    def watch_soon(self) -> None:
        """Call `watch` in a moment, and again and again while the dispatcher is busy."""


@dataclass(slots=True, kw_only=True, eq=False)
class Dispatcher:
    """The worker's executors.

    `timeout_of` tells after how many seconds an attempt of a function is stopped, and `may_start`
    whether Celery's rate limits let one start. `loop` is the event loop, while there is one. After
    `lease_ends_at` (monotonic) others may have been given what waits here. Other threads may put
    ids of cancelled invocations into `to_stop`. With `may_be_behind` there may be functions that
    are not known here yet: what is for one waits until `refuse_unknown` is called.
    """

    lanes: Lanes
    settings: Settings
    store: Store
    work: Work
    settling: Settling
    timeout_of: Callable[[str], float]
    may_start: Callable[[str], bool] = lambda _: True
    loop: "Loop | None" = None
    is_stopping: bool = False
    may_be_behind: bool = False
    lease_ends_at: float = float("inf")
    to_stop: deque[str] = field(default_factory=deque)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def start(self) -> None:
        """Fork what runs handlers one at a time; the others come when they are needed."""
        self._fill()

    def attach(self, loop: Loop) -> None:
        """Be called by an event loop from now on."""
        self.loop = loop
        for executor in self.executors:
            self._listen(executor)
        self.settling.debts.pay_through(loop)
        loop.watch_soon()

    def detach(self) -> None:
        """Do without one: it has stopped."""
        if self.loop is not None:
            self.loop = None
            self.settling.debts.pay_through(None)

    @property
    def executors(self) -> list[Executor[Attempt]]:
        return self.lanes.executors

    @property
    def attempts(self) -> list[Attempt]:
        """What executors have in their hands."""
        # At a stop, another thread asks for them.
        return [one for executor in self.executors for one in list(executor.handed.values())]

    @property
    def waiting(self) -> list[Ticket]:
        """What is claimed, and waits for an executor."""
        return self.lanes.waiting

    @property
    def is_busy(self) -> bool:
        """Whether attempts run, or the broker has not heard of all ends."""
        return any(one.handed for one in self.executors) or self.settling.is_busy

    def room(self) -> int:
        """How many messages more the worker should claim."""
        if self.is_stopping or self.settling.is_behind:
            return 0
        return self.lanes.room()

    def take(self, tickets: Iterable[Ticket]) -> None:
        """Have claimed invocations run, or what else is to become of them."""
        taken = 0
        for ticket in tickets:
            self.lanes.add(ticket)
            taken += 1
        if not self.may_be_behind:
            self.refuse_unknown()
        self.hand_out()
        self.lanes.adjust_room(taken)
        if self.loop is not None:
            self.loop.watch_soon()

    def refuse_unknown(self) -> None:
        """Finish what is for functions that do not exist."""
        for ticket in self.lanes.pop_unknown():
            refusals.refuse_unknown(self.settling, ticket)

    def renew(self) -> None:
        """Run what begins from now on in new executors: the functions have changed.

        What has begun ends where it is, with its deadline.
        """
        now = time.monotonic()
        # Stand in line again: a function may have another kind of handler now.
        for ticket in self.lanes.pop_all():
            self.lanes.add(ticket)
        for executor in self.lanes.retire():
            self._wait_again(executor.take_back(), now)
            self._end_if_retired(executor, now)
        self._fill()
        self.hand_out()

    def hand_out(self) -> None:
        """Give what waits to executors that have room for it."""
        if self.is_stopping or time.monotonic() > self.lease_ends_at:
            return
        try:
            for lane in self.lanes.all:
                if lane.waiting:
                    if lane.is_shared and not lane.executors:
                        self._fork(lane)
                    self.lanes.hand_out(lane, self._hand, may_start=self.may_start)
        except BrokerUnavailableError as error:
            # The consumer notices the lost connection too; then what waits is given back.
            _log.debug("attempt.not_started", reason=str(error))

    def read(self, executor: Executor[Attempt]) -> None:
        """Deal with what an executor has said."""
        now = time.monotonic()
        for answer in executor.read():
            attempt = executor.handed.get(answer.number)
            if attempt is None:
                continue
            if isinstance(answer, Report):
                self.settling.progress(attempt, answer.progress, now)
                continue
            if isinstance(answer, Yielded):
                taken = partial(executor.say_taken, answer.number)
                self.settling.yielded(attempt, answer, now, taken=taken)
                continue
            executor.heard_at = now
            # First among what the broker has not been told of: another thread asks what is kept.
            self._end(attempt, answer, now)
            del executor.handed[answer.number]
            self.lanes.unload(executor, attempt.function, run_seconds=answer.run_seconds)
            executor.unproven_since = now if executor.handed else None
        if executor.is_dead:
            self._bury(executor, now)
        else:
            self._end_if_retired(executor, now)

    def settle(self) -> None:
        """Tell the broker what has ended, and hand out what waits."""
        self.settling.flush()
        self.hand_out()

    def watch(self) -> None:
        """Keep deadlines, replace what has died, and note what runs longer than a moment."""
        now = time.monotonic()
        for executor in self.executors:
            if executor.has_exited():
                self.read(executor)
            elif executor.handed:
                self.settling.begun(list(self._long(executor, now)), now)
                if self._is_stuck(executor, now):
                    _log.warning("executor.stuck", executor_pid=executor.pid)
                    self._replace(executor, now)
                    continue
                (self._watch_shared if executor.is_shared else self._watch_serial)(executor, now)
            else:
                executor.unproven_since = None
                self._end_if_retired(executor, now)
        while self.to_stop:
            self.stop(self.to_stop.popleft())
        self.settling.debts.pay()
        self._fill()
        self.lanes.try_limited()
        self.settle()
        # Other workers may have what waits behind something slow here.
        self._give_back(self.lanes.pop_late(now))

    def kept(self) -> list[str]:
        """Return the tags of what runs here, or has, whatever the records say."""
        return [one.ticket.held.tag for one in self.attempts] + self.settling.untold

    def give_back_waiting(self) -> int:
        """Give back what waits, in order; return how many."""
        waiting = self.lanes.pop_all()
        self._give_back(waiting)
        return len(waiting)

    def stop(self, invocation_id: str) -> bool:
        """Stop an invocation that was cancelled; False if it is not here."""
        ticket = self.lanes.pop(invocation_id)
        if ticket is not None:
            refusals.refuse_cancelled(self.settling, ticket)
            return True
        for executor in self.executors:
            for number, attempt in list(executor.handed.items()):
                if attempt.ticket.id == invocation_id:
                    _log.info(
                        "attempt.cancelled",
                        invocation_id=invocation_id,
                        function=attempt.function.name,
                    )
                    self._stop(executor, number, attempt, "cancelled", time.monotonic())
                    return True
        return False

    def drop_lost(self, held: Collection[str]) -> None:
        """Stop what runs here and was given to another worker meanwhile."""
        now = time.monotonic()
        for executor in self.executors:
            for number, attempt in list(executor.handed.items()):
                if attempt.ticket.held.tag not in held and number in executor.handed:
                    _log.warning(
                        "attempt.lost",
                        invocation_id=attempt.ticket.id,
                        function=attempt.function.name,
                    )
                    self._stop(executor, number, attempt, "lost", now)
        # Also what the processes that were stopped had not begun.
        self.lanes.drop_lost(held)

    def wait(self, seconds: float) -> None:
        """Do all this for some time where there is no event loop."""
        self.detach()
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            readable, _, _ = select.select(
                [one.answers for one in self.executors],
                [],
                [],
                min(left, WATCHED_EVERY_SECONDS if self.is_busy else left),
            )
            for executor in self.executors:
                if executor.answers in readable:
                    self.read(executor)
            self.watch()
            if self.is_stopping and not self.is_busy:
                return

    def close(self) -> None:
        """End all executors at once; what they run is given back."""
        self.detach()
        self.is_stopping = True
        now = time.monotonic()
        for executor in self.executors:
            self._replace(executor, now)
        self.settling.flush()

    # Handing out.

    def _hand(self, executor: Executor[Attempt], ticket: Ticket) -> bool:
        """Give an executor what waits; False if it has no room for it now."""
        function = self.lanes.functions[ticket.function]
        now = time.monotonic()
        is_noted = not may_begin_unnoted(ticket, function)
        if is_noted:
            started = self._start(ticket, function)
            if started is None:
                return True
            ticket = _with(ticket, started)
        timeout_seconds = self.timeout_of(function.name)
        attempt = Attempt(
            ticket=ticket,
            function=function,
            timeout_seconds=timeout_seconds,
            began_at=now,
            is_noted=is_noted,
        )
        is_small = 0 < len(ticket.payload) <= LARGEST_TICKET_PAYLOAD_BYTES
        job = Job(
            number=next(self._numbers),
            id=ticket.id,
            function=function.name,
            payload=ticket.payload if is_small else None,
            attempt=ticket.attempts + (0 if is_noted else 1),
            failures=ticket.failures,
            age_seconds=max(0, ticket.claimed_at_us - ticket.ages_since_us) / 1_000_000,
            timeout_seconds=timeout_seconds,
            request_id=ticket.request_id,
            policy=ticket.policy,
        )
        if not executor.hand(job, attempt):
            # Its socket is full of what is small but much; what it answers makes room.
            return False
        self.lanes.load(executor, function)
        return True

    def _start(self, ticket: Ticket, function: Function[..., Any]) -> Started | None:
        started = self.store.run(
            lifecycle.start(
                ticket.held,
                ticket.id,
                concurrency=function.concurrency,
                max_deliveries=self.settings.max_deliveries,
            )
        )
        if started.verdict is Verdict.RUN:
            return started
        refusals.refuse(self.settling, ticket, function, started, self.settings)
        return None

    # Watching.

    def _long(self, executor: Executor[Attempt], now: float) -> Iterator[Attempt]:
        """Yield what has begun and runs for a moment."""
        begun_up_to = None
        # One that runs them one after the other has begun the first at most.
        looked_at = itertools.islice(executor.handed.items(), None if executor.is_shared else 1)
        for number, attempt in looked_at:
            if not executor.is_shared:
                # It began when the one before had ended.
                attempt.began_at = max(attempt.began_at, executor.heard_at)
            if now - attempt.began_at > _NOTED_AFTER_SECONDS:
                attempt.is_long = True
                if not attempt.has_begun:
                    if begun_up_to is None:
                        begun_up_to = executor.begun_up_to()
                    if number > begun_up_to:
                        attempt.began_at = now
                        continue
                    attempt.has_begun, executor.unproven_since = True, now
                yield attempt

    @staticmethod
    def _is_stuck(executor: Executor[Attempt], now: float) -> bool:
        """Tell whether a process that runs nothing does not begin either: it is suspended, say."""
        first, since = next(iter(executor.handed.values())), executor.unproven_since
        return (
            first.is_long
            and not first.has_begun
            and since is not None
            and now - since > _STUCK_AFTER_SECONDS
        )

    def _watch_serial(self, executor: Executor[Attempt], now: float) -> None:
        number, attempt = next(iter(executor.handed.items()))
        if attempt.has_begun and now - attempt.began_at > attempt.timeout_seconds:
            self._stop(executor, number, attempt, "timed out", now)
        elif attempt.is_long and len(executor.handed) > 1:
            self.lanes.block(executor, attempt.function, run_seconds=now - attempt.began_at)
            self._wait_again(executor.take_back(but=number), now)

    def _watch_shared(self, executor: Executor[Attempt], now: float) -> None:
        is_lost = False
        for number, attempt in list(executor.handed.items()):
            if attempt.stopped_for:
                is_lost |= now - attempt.stopped_at > _GRACE_SECONDS
            elif attempt.has_begun and now - attempt.began_at > attempt.timeout_seconds:
                attempt.stopped_for, attempt.stopped_at = "timed out", now
                is_lost |= not attempt.function.is_async
                if not is_lost:
                    executor.stop(number)
        if is_lost:
            self._replace(executor, now)

    def _stop(
        self, executor: Executor[Attempt], number: int, attempt: Attempt, why: str, now: float
    ) -> None:
        if attempt.stopped_for:
            return  # it has its grace already
        attempt.stopped_for, attempt.stopped_at = why, now
        if number > executor.begun_up_to():
            taken = executor.take_back()
            self._wait_again(taken, now)
            if attempt in taken:
                return
        if executor.is_shared and attempt.function.is_async:
            executor.stop(number)
        else:
            # A thread cannot be stopped but with its process.
            self._replace(executor, now)

    def _wait_again(self, taken: Sequence[Attempt], now: float) -> None:
        """Let attempts wait that an executor was given and has not begun."""
        for attempt in reversed(taken):
            if attempt.stopped_for == "lost":
                continue
            if attempt.is_noted:
                # The record says that it runs.
                if attempt.stopped_for == "cancelled":
                    self.settling.cancelled(attempt, now)
                else:
                    self.settling.interrupted(attempt, now, has_crashed=False)
            elif attempt.stopped_for == "cancelled":
                refusals.refuse_cancelled(self.settling, attempt.ticket)
            else:
                self.lanes.add_first(attempt.ticket)

    def _replace(self, executor: Executor[Attempt], now: float) -> None:
        """End a process of which an attempt is to be stopped."""
        executor.kill()
        self.read(executor)
        if not executor.is_dead:
            executor.is_dead = True
            self._bury(executor, now)

    def _end_if_retired(self, executor: Executor[Attempt], now: float) -> None:
        """End a process that is to be given nothing more, when it has finished what it had."""
        if executor in self.lanes.retired and not executor.handed and not executor.is_killed:
            self._replace(executor, now)

    def _bury(self, executor: Executor[Attempt], now: float) -> None:
        """Deal with what a process leaves behind that has ended, and start another."""
        self._wait_again(executor.take_back(), now)
        left = list(executor.handed.values())
        executor.handed.clear()
        for attempt in left:
            if attempt.stopped_for:
                self._end(attempt, Outcome(number=0, run_seconds=now - attempt.began_at), now)
            else:
                self.settling.interrupted(attempt, now, has_crashed=not executor.is_killed)
        if not executor.is_killed:
            _log.warning(
                "executor.died",
                executor_pid=executor.pid,
                invocation_ids=[one.ticket.id for one in left[:10]],
            )
        if self.loop is not None:
            self.loop.forget(executor.answers.fileno())
        executor.close()
        self.lanes.remove(executor)
        self._fill()

    def _fill(self) -> None:
        """Have as many serial executors as there should be."""
        lane = self.lanes.serial
        while len(lane.executors) < self.settings.workers and not self.is_stopping:
            try:
                self._fork(lane)
            except OSError as error:
                # It is tried again when next somebody watches.
                _log.error("executor.not_started", reason=str(error))
                return

    def _end(self, attempt: Attempt, outcome: Outcome, now: float) -> None:
        if outcome.result is not None or outcome.error is not None:
            self.settling.ended(attempt, outcome, now)
        elif attempt.stopped_for == "timed out":
            self.settling.timed_out(attempt, now)
        elif attempt.stopped_for == "cancelled":
            self.settling.cancelled(attempt, now)

    def _give_back(self, tickets: Sequence[Ticket]) -> None:
        """Make these the next of their queues, in order."""
        for ticket in reversed(tickets):
            self.settling.debts.owe(claims.requeue(ticket.held, has_crashed=False))

    def _fork(self, lane: Lane) -> None:
        executor: Executor[Attempt] = Executor.fork(
            self.work, is_shared=lane.is_shared, others=self.executors
        )
        lane.executors.append(executor)
        self._listen(executor)

    def _listen(self, executor: Executor[Attempt]) -> None:
        if self.loop is not None:
            self.loop.hear(executor.answers.fileno(), partial(self._hear, executor))

    def _hear(self, executor: Executor[Attempt]) -> None:
        self.read(executor)
        if self.loop is not None:
            self.loop.settle_soon()


def _with(ticket: Ticket, started: Started) -> Ticket:
    return msgspec.structs.replace(
        ticket,
        claimed_at_us=started.started_at_us,
        payload=started.payload,
        attempts=started.attempt,
        ages_since_us=started.ages_since_us,
        failures=started.failures,
        policy=started.policy,
    )
