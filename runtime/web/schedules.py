"""`/schedules`: when functions run by themselves; running one now, pausing it, resuming it."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import falcon.asgi
import msgspec

from runtime.errors import UnknownScheduleError
from runtime.function import Function
from runtime.moments import rfc3339
from runtime.registry import Registry
from runtime.schedule import Schedule, id_of_run, time_of, us_of
from runtime.store import AsyncStore, schedules
from runtime.store.accepting import Accepted, Accepting
from runtime.store.schedules import State
from runtime.web.answers import answer_acceptance
from runtime.web.exchange import Request, reply
from runtime.web.invoking import Acceptance, Invoker, invocation_of
from runtime.web.terms import Terms, patience_of, terms_of

_LOOK_AGAIN_SECONDS = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """The functions that have a schedule, and what the store knows of those."""

    functions: Mapping[str, tuple[Function[..., Any], Schedule]]
    store: AsyncStore

    @classmethod
    def of(cls, registry: Registry, *, store: AsyncStore) -> Self:
        found = {function.name: (function, schedule) for function, schedule in registry.scheduled()}
        return cls(functions=found, store=store)

    def find(self, name: str) -> tuple[Function[..., Any], Schedule]:
        """Return a function that has a schedule, or raise `UnknownScheduleError`."""
        if name not in self.functions:
            raise UnknownScheduleError(name, tuple(self.functions))
        return self.functions[name]

    async def shown(self) -> list[dict[str, Any]]:
        """Return all schedules as they are now."""
        found = await self.store.run(schedules.read())
        return [
            _shown(name, schedule, found.state(name))
            for name, (_, schedule) in self.functions.items()
        ]

    async def settle(self, *, seconds: float) -> None:
        """Return when nothing is due that has not run; at the latest after so many seconds.

        Without a scheduler it stays due.
        """
        until = time.monotonic() + seconds
        while await self._is_any_due() and time.monotonic() < until:  # noqa: ASYNC110  others act
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    async def _is_any_due(self) -> bool:
        if not self.functions:
            return False
        found = await self.store.run(schedules.read())
        dues = [
            _next_run_at_us(schedule, found.state(name))
            for name, (_, schedule) in self.functions.items()
        ]
        return any(due is not None and due <= found.now_us for due in dues)

    async def show(self, resp: falcon.asgi.Response, name: str) -> None:
        """Answer with one schedule as it is now."""
        _, schedule = self.find(name)
        found = await self.store.run(schedules.read())
        reply(resp, 200, _shown(name, schedule, found.state(name)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleList:
    """`GET /schedules`."""

    scheduled: Scheduled

    async def on_get(self, _req: Request, resp: falcon.asgi.Response) -> None:
        reply(resp, 200, {"schedules": await self.scheduled.shown()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """`POST /schedules/{name}/pause`: it does not run by itself any more."""

    scheduled: Scheduled

    async def on_post(self, _req: Request, resp: falcon.asgi.Response, name: str) -> None:
        self.scheduled.find(name)
        await self.scheduled.store.run(schedules.pause(name))
        await self.scheduled.show(resp, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """`POST /schedules/{name}/resume`: it runs again, at its times from now on."""

    scheduled: Scheduled

    async def on_post(self, _req: Request, resp: falcon.asgi.Response, name: str) -> None:
        _, schedule = self.scheduled.find(name)
        found = await self.scheduled.store.run(schedules.read())
        due_at = schedule.times.next_after(time_of(found.now_us))
        await self.scheduled.store.run(
            schedules.resume(name, definition=schedule.times.definition, due_at_us=us_of(due_at))
        )
        await self.scheduled.show(resp, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNow:
    """`POST /schedules/{name}/run`: as if it were due now; its times stay as they are."""

    scheduled: Scheduled
    invoker: Invoker

    async def on_post(self, req: Request, resp: falcon.asgi.Response, name: str) -> None:
        function, schedule = self.scheduled.find(name)
        terms = terms_of(req, self.invoker.settings)
        patience = patience_of(req, self.invoker.settings)
        accepted = await self._accept(function, schedule, terms)
        self.invoker.raise_refusal(accepted, terms)
        is_replayed = accepted.outcome is Accepting.REPLAYED
        record = None
        if is_replayed or patience is not None:
            record = await self.invoker.read(accepted.id, patience=patience)
        acceptance = Acceptance(id=accepted.id, is_replayed=is_replayed, record=record)
        answer_acceptance(req, resp, function, acceptance, terms=terms, patience=patience)

    async def _accept(
        self, function: Function[..., Any], schedule: Schedule, terms: Terms
    ) -> Accepted:
        while True:
            now_us = (await self.scheduled.store.run(schedules.read())).now_us
            invocation = msgspec.structs.replace(
                invocation_of(function, schedule.payload, terms),
                id=id_of_run(function.name, now_us),
                trigger="schedule",
            )
            offer = self.invoker.offer_of(function, [invocation], terms)
            accepted = await self.scheduled.store.run(schedules.run_now(offer, function.name))
            # Somebody else has asked in the same microsecond.
            if accepted.outcome is not Accepting.KNOWN:
                return accepted


def _shown(name: str, schedule: Schedule, state: State) -> dict[str, Any]:
    return {
        "name": name,
        "function": name,
        **schedule.to_json(),
        "paused": state.is_paused,
        "next_run_at": rfc3339(_next_run_at_us(schedule, state)),
        "last_run_at": rfc3339(state.last_run_at_us),
        "last_invocation_id": state.last_invocation_id,
    }


def _next_run_at_us(schedule: Schedule, state: State) -> int | None:
    """Return when it runs next; None if it is paused, or no scheduler has seen it yet."""
    is_seen = state.definition == schedule.times.definition
    return state.due_at_us if is_seen and not state.is_paused else None
