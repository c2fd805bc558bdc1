"""`/invocations`: what became of invocations; cancelling one, running it once more."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import falcon
import falcon.asgi

from runtime.invocation import Status
from runtime.registry import Registry
from runtime.store import AsyncStore, listing
from runtime.store.listing import Position
from runtime.web import paging
from runtime.web.answers import answer_accepted, invoke
from runtime.web.exchange import Request, note, reply
from runtime.web.invoking import Invoker
from runtime.web.terms import patience_of

_POSITION = re.compile(r"[0-9]{1,9}\.[0-9]{1,16}\.[!-~]{0,1000}")
_MOST_PARTS = 20
_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationList:
    """`GET /invocations`: the latest first, part by part."""

    store: AsyncStore

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        read = partial(
            listing.read_part,
            limit=paging.limit_of(req),
            function=req.get_param("function"),
            statuses=statuses_of(req),
            since_us=_since_us(req),
        )
        position = paging.position_of(req, _POSITION)
        part = await self.store.run(read(position=_position(position)))
        # Each step is short, so that it keeps nobody waiting; some find nothing.
        for _ in range(_MOST_PARTS):
            if part.records or part.next_position is None:
                break
            part = await self.store.run(read(position=part.next_position))
        next_cursor = None
        if part.next_position is not None:
            next_cursor = paging.cursor_of("{}.{}.{}".format(*part.next_position))
        listed = [record.to_json() for record in part.records]
        reply(resp, 200, {"invocations": listed, "next_cursor": next_cursor})


def _position(text: str | None) -> Position | None:
    if text is None:
        return None
    hour, left, rest = text.split(".", 2)
    return Position(int(hour), int(left), rest)


def statuses_of(req: Request) -> tuple[Status, ...]:
    """Return the statuses that are wanted; raises falcon's 400."""
    given = ",".join(req.get_param_as_list("status") or [])
    try:
        return tuple(map(Status, given.split(","))) if given else ()
    except ValueError:
        raise falcon.HTTPBadRequest(
            description=f"status: expected one or more of {', '.join(Status)}; got {given[:80]!r}"
        ) from None


def _since_us(req: Request) -> int:
    """Return the time since when, in microseconds, or 0; raises falcon's 400."""
    text = req.get_param("since")
    if text is None:
        return 0
    try:
        since = datetime.fromisoformat(text)
    except ValueError:
        since = None
    if since is None or since.tzinfo is None:
        raise falcon.HTTPBadRequest(
            description="since: expected a time with its zone, such as 2026-01-31T12:30:00Z"
        )
    return (since - _EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationResource:
    """`GET /invocations/{id}`, at once or when it is finished; `DELETE` cancels."""

    invoker: Invoker

    async def on_get(self, req: Request, resp: falcon.asgi.Response, invocation_id: str) -> None:
        patience = patience_of(req, self.invoker.settings)
        record = await self.invoker.read(invocation_id, patience=patience)
        note(req, function=record.function, invocation_id=record.id)
        if patience is not None:
            resp.set_header("Preference-Applied", f"wait={patience.seconds}")
        resp.set_header("Vary", "Prefer")
        reply(resp, 200, record.to_json())

    async def on_delete(self, req: Request, resp: falcon.asgi.Response, invocation_id: str) -> None:
        record, status = await self.invoker.cancel(invocation_id)
        note(req, function=record.function, invocation_id=record.id)
        answer_accepted(resp, invocation_id=record.id, function=record.function, status=status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """`POST /invocations/{id}/replay`: a new invocation, of the same payload or another one."""

    registry: Registry
    invoker: Invoker

    async def on_post(self, req: Request, resp: falcon.asgi.Response, invocation_id: str) -> None:
        record = await self.invoker.read(invocation_id)
        function = self.registry.find(record.function)
        await invoke(req, resp, function, invoker=self.invoker, replayed=record)
