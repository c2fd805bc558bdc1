"""Where claimed invocations wait for executors: who is next, and who lets others pass.

Nothing is started or stopped here, and nobody told: that is for the dispatcher.
"""

import itertools
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime.function import Function
from runtime.settings import Settings
from runtime.store.claims import Ticket
from runtime.worker.executor.child import Executor
from runtime.worker.pace import Pace
from runtime.worker.settling import Attempt

_HELD_BACK_SECONDS = 0.5
_SUSPICIOUS_CRASHES = 2
_WIDEST_WINDOW = 128


@dataclass(slots=True, kw_only=True, eq=False)
class Lane:
    """Executors of one kind, and what waits for them, the oldest first."""

    is_shared: bool
    executors: list[Executor[Attempt]] = field(default_factory=list)
    waiting: deque[Ticket] = field(default_factory=deque)
    waiting_since: float = 0.0


@dataclass(slots=True, kw_only=True, eq=False)
class Lanes:
    """A lane for each kind of executors, and beside them what waits for something else.

    `serial` is for what runs alone in its process, `coroutines` for `async def` handlers, and
    `threads` for functions that have some. Beside them waits what Celery's rate limits hold back,
    and what is for a function that does not exist, or not yet. `retired` executors finish what they
    have, and are given nothing more.
    """

    functions: Mapping[str, Function[..., Any]]
    settings: Settings
    pace: Pace = field(default_factory=Pace)
    serial: Lane = field(default_factory=lambda: Lane(is_shared=False))
    coroutines: Lane = field(default_factory=lambda: Lane(is_shared=True))
    threads: Lane = field(default_factory=lambda: Lane(is_shared=True))
    retired: list[Executor[Attempt]] = field(default_factory=list)
    _limited: deque[Ticket] = field(default_factory=deque)
    _unknown: deque[Ticket] = field(default_factory=deque)
    _window: int = 1

    @property
    def all(self) -> tuple[Lane, ...]:
        """All lanes, in the order in which they are served."""
        return self.serial, self.coroutines, self.threads

    @property
    def executors(self) -> list[Executor[Attempt]]:
        return [*(one for lane in self.all for one in lane.executors), *self.retired]

    @property
    def waiting(self) -> list[Ticket]:
        return [one for line in self._lines() for one in line]

    # How much should wait.

    def room(self) -> int:
        """How many more should be claimed."""
        is_stuck = all(
            one.handed and next(iter(one.handed.values())).is_long for one in self.serial.executors
        )
        held = self.settings.workers if is_stuck else self.pace.room(self.settings.workers)
        in_line = len(self.serial.waiting)
        # What waits for its own limit does not count, up to a number.
        aside = len(self.waiting) - in_line
        return max(0, min(max(held, self._window) - in_line, _WIDEST_WINDOW - aside))

    def adjust_room(self, taken: int) -> None:
        """Have more claimed at a time if all of what was taken is under way already."""
        if self.waiting:
            self._window = self.settings.workers
        elif taken >= self._window:
            self._window = min(_WIDEST_WINDOW, 2 * self._window)

    # Standing in line.

    def add(self, ticket: Ticket) -> None:
        """Let one wait behind all others."""
        lane = self._lane_of(ticket)
        if lane is None:
            self._unknown.append(ticket)
            return
        if not lane.waiting:
            lane.waiting_since = time.monotonic()
        lane.waiting.append(ticket)

    def add_first(self, ticket: Ticket) -> None:
        """Let one wait that was next before."""
        lane = self._lane_of(ticket)
        (self._unknown if lane is None else lane.waiting).appendleft(ticket)

    def try_limited(self) -> None:
        """Let what waits for a rate limit stand in line again; perhaps it may start now."""
        while self._limited:
            self.add_first(self._limited.pop())

    def hand_out(
        self,
        lane: Lane,
        hand: Callable[[Executor[Attempt], Ticket], bool],
        *,
        may_start: Callable[[str], bool],
    ) -> None:
        """Call `hand` with who is next and an executor that is free, until it says that none is.

        `may_start` tells whether a rate limit lets one of a function start.
        """
        # A function that must wait, for a rate limit or a thread, lets the others pass.
        waits: dict[str, deque[Ticket]] = {}
        full: deque[Ticket] = deque()
        try:
            while lane.waiting:
                ticket = lane.waiting[0]
                if ticket.function in waits:
                    waits[ticket.function].append(lane.waiting.popleft())
                    continue
                executor = self._free(lane, ticket)
                if executor is None and not lane.is_shared:
                    return
                if executor is None:
                    waits[ticket.function] = full
                elif not may_start(ticket.function):
                    waits[ticket.function] = self._limited
                elif hand(executor, ticket):
                    lane.waiting.popleft()
                    lane.waiting_since = time.monotonic()
                else:
                    return
        finally:
            lane.waiting.extendleft(reversed(full))

    # What executors have to do.

    def load(self, executor: Executor[Attempt], function: Function[..., Any]) -> None:
        """Note that an executor was given an attempt."""
        executor.load_seconds += self.pace.expected_seconds(function.name)

    def unload(
        self, executor: Executor[Attempt], function: Function[..., Any], *, run_seconds: float
    ) -> None:
        """Note that it has ended one."""
        left = executor.load_seconds - self.pace.expected_seconds(function.name)
        executor.load_seconds = max(0.0, left) if executor.handed else 0.0
        self.pace.note(function.name, run_seconds)

    def block(
        self, executor: Executor[Attempt], function: Function[..., Any], *, run_seconds: float
    ) -> None:
        """Note that one takes longer than others should wait for."""
        executor.load_seconds = float("inf")
        self.pace.note(function.name, run_seconds)

    # Executors that leave.

    def retire(self) -> list[Executor[Attempt]]:
        """Give nothing more to the present executors; return them."""
        leaving = [one for lane in self.all for one in lane.executors]
        for lane in self.all:
            lane.executors.clear()
        self.retired += leaving
        return leaving

    def remove(self, executor: Executor[Attempt]) -> None:
        """Forget an executor that has ended."""
        for executors in (*(lane.executors for lane in self.all), self.retired):
            if executor in executors:
                executors.remove(executor)

    # Leaving without having run.

    def pop(self, invocation_id: str) -> Ticket | None:
        """Take one out, if it waits here."""
        for line in self._lines():
            for ticket in line:
                if ticket.id == invocation_id:
                    line.remove(ticket)
                    return ticket
        return None

    def pop_unknown(self) -> list[Ticket]:
        """Take out, in order, what is for functions that do not exist."""
        unknown = list(self._unknown)
        self._unknown.clear()
        return unknown

    def pop_all(self) -> list[Ticket]:
        """Take out everything, in the order in which it was claimed."""
        waiting = sorted(self.waiting, key=lambda one: one.held.number)
        for line in self._lines():
            line.clear()
        return waiting

    def pop_late(self, now: float) -> list[Ticket]:
        """Take out, in order, what waits too long behind something slow."""
        waiting = self.serial.waiting
        kept = self.settings.workers
        if len(waiting) > kept and now - self.serial.waiting_since < _HELD_BACK_SECONDS:
            kept = max(kept, self._soon_begun(waiting))
        late = list(itertools.islice(waiting, kept, None))
        for ticket in late:
            waiting.remove(ticket)
        return late

    def drop_lost(self, held: Collection[str]) -> None:
        """Forget all but these tags."""
        for line in self._lines():
            kept = [one for one in line if one.held.tag in held]
            line.clear()
            line.extend(kept)

    def _lines(self) -> list[deque[Ticket]]:
        return [*(lane.waiting for lane in self.all), self._limited, self._unknown]

    def _lane_of(self, ticket: Ticket) -> Lane | None:
        function = self.functions.get(ticket.function)
        if function is None:
            return None
        # What lost its process again and again may have killed it: it runs alone.
        if ticket.crashes >= _SUSPICIOUS_CRASHES or not (function.is_async or function.threads):
            return self.serial
        return self.coroutines if function.is_async else self.threads

    def _free(self, lane: Lane, ticket: Ticket) -> Executor[Attempt] | None:
        """Return an executor of the lane that may be given this one, if there is any."""
        if not lane.executors:
            return None
        function = self.functions[ticket.function]
        if lane.is_shared:
            (executor,) = lane.executors
            if function.is_async:
                is_free = len(executor.handed) < self.settings.async_attempts
            else:
                running = sum(a.function is function for a in executor.handed.values())
                is_free = running < (function.threads or 1)
            return executor if is_free else None
        executor = min(lane.executors, key=lambda one: len(one.handed))
        # What is noted as running before it is handed over must not wait.
        if not executor.handed or (
            may_begin_unnoted(ticket, function)
            and self.pace.may_queue(
                function.name, load_seconds=executor.load_seconds, handed=len(executor.handed)
            )
        ):
            return executor
        return None

    def _soon_begun(self, waiting: Collection[Ticket]) -> int:
        """Count those that will probably have begun before others should have them."""
        left = _HELD_BACK_SECONDS * self.settings.workers
        for number, ticket in enumerate(waiting):
            left -= self.pace.expected_seconds(ticket.function, unknown=0.0)
            if left < 0:
                return number
        return len(waiting)


def may_begin_unnoted(ticket: Ticket, function: Function[..., Any]) -> bool:
    """Tell whether an attempt may begin before the record says so."""
    return ticket.fresh and function.concurrency is None
