"""Running functions by themselves, at the times of their schedules."""

import time
from dataclasses import dataclass, field
from typing import Any

from runtime import message
from runtime.function import Function
from runtime.invocation import Invocation
from runtime.moments import rfc3339
from runtime.reloading import Reloader
from runtime.schedule import Missed, Schedule, id_of_run, time_of, us_of
from runtime.scheduler.chores import Chore, log
from runtime.store import schedules
from runtime.store.accepting import Offer
from runtime.store.schedules import Schedules, State

# So late a time was missed, though no other one has come since. By the broker's own clock.
_LATE_US = 60_000_000


@dataclass(slots=True, kw_only=True)
class FireSchedules(Chore):
    """Invokes each function that has a schedule when it is due.

    It looks often, and not only when the next one is due: an emulator's clock may be moved on. What
    it knows from one look to the next is only what the functions say. With `follows`, it reads them
    anew when their files change. What it invokes is listed for `listed_seconds`.
    """

    reloader: Reloader
    follows: bool
    listed_seconds: int
    every_seconds: float = 0.1
    _scheduled: list[tuple[Function[..., Any], Schedule]] = field(init=False)
    _looks_at: float = 0.0

    def __post_init__(self) -> None:
        self._scheduled = self.reloader.registry.scheduled()

    def act(self) -> float:
        """Run what is due, and look again when the next one may be."""
        if self.follows:
            self._follow()
        if not self._scheduled:
            return self.every_seconds
        found = self.store.run(schedules.read())
        pause = self.every_seconds
        for function, schedule in self._scheduled:
            due_at_us = self._look_at(function, schedule, found)
            if due_at_us is not None:
                seconds = (due_at_us - found.now_us) / 1e6 / found.scale
                pause = min(pause, max(0.0, seconds) + 0.001)
        return pause

    def _follow(self) -> None:
        if time.monotonic() < self._looks_at:
            return
        if self.reloader.has_changed():
            self._scheduled = self.reloader.load().scheduled()
        self._looks_at = time.monotonic() + self.reloader.pause_seconds

    def _look_at(
        self, function: Function[..., Any], schedule: Schedule, found: Schedules
    ) -> int | None:
        """Do what is to be done for one; return when it is due next, if that is known."""
        seen = found.state(function.name)
        if seen.due_at_us is None or seen.definition != schedule.times.definition:
            return self._plan(function, schedule, seen, found.now_us)
        if seen.is_paused:
            return None
        if seen.due_at_us > found.now_us:
            return seen.due_at_us
        now = time_of(found.now_us)
        latest_us = us_of(schedule.times.latest(time_of(seen.due_at_us), now))
        is_late = (found.now_us - latest_us) / found.scale > _LATE_US
        if is_late and schedule.missed is Missed.SKIP:
            is_mine, next_us = self._skip(function, schedule, seen, latest_us)
        else:
            is_mine, next_us = self._fire(function, schedule, seen, latest_us)
        if is_mine and (is_late or latest_us != seen.due_at_us):
            log.warning(
                "schedule.missed",
                function=function.name,
                first=rfc3339(seen.due_at_us),
                last=rfc3339(latest_us),
                missed=schedule.missed,
            )
        return next_us

    def _plan(
        self, function: Function[..., Any], schedule: Schedule, seen: State, now_us: int
    ) -> int:
        due_at_us = us_of(schedule.times.next_after(time_of(now_us)))
        planned = schedules.plan(
            function.name, seen, definition=schedule.times.definition, due_at_us=due_at_us
        )
        if self.store.run(planned):
            log.info(
                "schedule.planned",
                function=function.name,
                definition=schedule.times.definition,
                due_at=rfc3339(due_at_us),
            )
        return due_at_us

    def _skip(
        self, function: Function[..., Any], schedule: Schedule, seen: State, latest_us: int
    ) -> tuple[bool, int]:
        next_us = us_of(schedule.times.next_after(time_of(latest_us)))
        skipped = schedules.plan(
            function.name, seen, definition=schedule.times.definition, due_at_us=next_us
        )
        return self.store.run(skipped), next_us

    def _fire(
        self, function: Function[..., Any], schedule: Schedule, seen: State, due_at_us: int
    ) -> tuple[bool, int]:
        invocation = Invocation(
            id=id_of_run(function.name, due_at_us),
            function=function.name,
            payload=schedule.payload,
            trigger="schedule",
            timeout_seconds=function.timeout_seconds,
            retries=function.retry_policy.retries,
            max_age_seconds=function.retry_policy.max_age_seconds,
        )
        offer = Offer.of(
            [(invocation, message.encode(invocation, function.payload))],
            listed_seconds=self.listed_seconds,
        )
        next_us = us_of(schedule.times.next_after(time_of(due_at_us)))
        is_fired = self.store.run(
            schedules.fire(offer, function.name, seen, next_due_at_us=next_us)
        )
        if is_fired:
            log.info("schedule.fired", function=function.name, invocation_id=invocation.id)
        return is_fired, next_us
