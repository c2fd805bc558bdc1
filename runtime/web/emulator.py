"""`/_emulator/...`: what a test does that a production server must not.

A function that fails, waits a minute, waits two and is given up takes a test no longer than its
three attempts: the clock is moved on. The routes exist only in an emulator (`EYAS_EMULATOR`).
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import falcon
import falcon.asgi
import structlog

from runtime import json_text
from runtime.errors import LONGEST_SECONDS
from runtime.moments import rfc3339
from runtime.store import AsyncStore, clock, upkeep
from runtime.store.clock import Clock
from runtime.store.keys import OF_ATTEMPTS, OF_INVOCATIONS
from runtime.web.exchange import Request, read_payload, reply
from runtime.web.schedules import Scheduled

_log = structlog.get_logger("web")

# What proxies add (RFC 7239, and its forerunners).
_FORWARDED = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via"})
_MOST_DUE = 500
_MOST_BYTES = 1000
# A scheduler looks several times a second.
_SCHEDULER_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockResource:
    """`GET /_emulator/clock`: what time it is for invocations."""

    store: AsyncStore

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        _refuse_forwarded(req)
        reply(resp, 200, _shown(await self.store.run(clock.read())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """`POST /_emulator/clock/advance`: `{"seconds": 120}` pass now.

    On return what has become due is queued, and what has expired is gone. If a scheduler runs, it
    has also seen which schedules are due.
    """

    store: AsyncStore
    scheduled: Scheduled

    async def on_post(self, req: Request, resp: falcon.asgi.Response) -> None:
        _refuse_forwarded(req)
        seconds = _seconds(await read_payload(req, limit_bytes=_MOST_BYTES))
        now = await self.store.run(clock.advance(seconds=seconds))
        if now is None:
            raise falcon.HTTPBadRequest(
                description=f"the clock may be ahead by {LONGEST_SECONDS} seconds in all: "
                "a reset makes it the right one"
            )
        async for keys in _find_keys(self.store, OF_INVOCATIONS):
            await self.store.run(clock.age(keys, seconds=seconds))
        queued = 0
        while (due := await self.store.run(upkeep.queue_due(limit=_MOST_DUE))).moved:
            queued += due.moved
        await self.scheduled.settle(seconds=_SCHEDULER_SECONDS)
        _log.info("clock.advanced", seconds=seconds, queued=queued)
        reply(resp, 200, _shown(now) | {"queued": queued})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """`POST /_emulator/reset`: no invocation was ever made, and the clock is the right one."""

    store: AsyncStore

    async def on_post(self, req: Request, resp: falcon.asgi.Response) -> None:
        _refuse_forwarded(req)
        # What runs is told to stop; its end finds no record, and changes nothing.
        open_count = await self.store.run(clock.reset())
        removed = 0
        async for keys in _find_keys(self.store, OF_INVOCATIONS + OF_ATTEMPTS):
            removed += await self.store.run(clock.forget(keys))
        _log.info("emulator.reset", open=open_count, removed=removed)
        reply(resp, 200, {"open": open_count, "removed": removed})


def _refuse_forwarded(req: Request) -> None:
    """Refuse what came through a proxy: it listens for others, and web does not know for whom."""
    if req.asks_for(_FORWARDED):
        raise falcon.HTTPForbidden(
            description="a proxy has forwarded this: an emulator's routes are for its own machine"
        )


async def _find_keys(store: AsyncStore, prefixes: tuple[bytes, ...]) -> AsyncIterator[list[bytes]]:
    """Yield the keys that begin so, a part at a time, each once."""
    seen: set[bytes] = set()
    position: int | None = 0
    while position is not None:
        part = await store.run(clock.find_keys(prefixes, position=position))
        new = [key for key in dict.fromkeys(part.keys) if key not in seen]
        seen.update(new)
        if new:
            yield new
        position = part.next_position


def _seconds(body: bytes) -> float:
    value: Any = json_text.decode(body)
    seconds = value.get("seconds") if isinstance(value, dict) else None
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, int | float)
        or not 0 <= seconds <= LONGEST_SECONDS
    ):
        raise falcon.HTTPBadRequest(
            description='expected {"seconds": N}, with N from 0 to '
            f"{LONGEST_SECONDS}: the clock cannot be set back, except by a reset"
        )
    return float(seconds)


def _shown(time: Clock) -> dict[str, Any]:
    return {
        "now": rfc3339(time.now_us),
        "ahead_seconds": time.ahead_us / 1_000_000,
        "scale": time.scale,
    }
