"""`/dead-letters`: what was given up; running it again, or forgetting it."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import falcon.asgi

from runtime.errors import UnknownDeadLetterError
from runtime.invocation import Record, Status, is_id
from runtime.policy import RetryPolicy
from runtime.registry import Registry
from runtime.settings import Settings
from runtime.store import AsyncStore, dead_letters, records
from runtime.web import paging
from runtime.web.answers import answer_accepted
from runtime.web.exchange import Request, note, reply

_AT_A_TIME = 20
_POSITION = re.compile(r"[0-9]{1,17} [!-~]{1,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetters:
    """The dead letters in the store."""

    store: AsyncStore
    registry: Registry
    settings: Settings

    async def find(self, invocation_id: str) -> Record:
        """Read one; raises `UnknownDeadLetterError`."""
        if is_id(invocation_id):
            found = await self.store.run(
                records.read(invocation_id, retention=self.settings.retention)
            )
            if isinstance(found, Record) and found.dead_letter is not None:
                return found
        raise UnknownDeadLetterError(invocation_id)

    async def redrive(self, record: Record) -> bool:
        """Queue one again; False if somebody else has redriven or purged it."""
        function = self.registry.get(record.function)
        policy = function.retry_policy if function else None
        if record.policy:
            policy = RetryPolicy.decode(record.policy)
        max_age_seconds = policy.max_age_seconds if policy else None
        return await self.store.run(
            dead_letters.redrive(record.id, max_age_seconds=max_age_seconds)
        )

    async def purge(self, record: Record) -> bool:
        """Forget one; False if somebody else has redriven or purged it."""
        return await self.store.run(dead_letters.purge(record.id))

    async def each(self, act: Callable[[Record], Awaitable[bool]], *, function: str | None) -> int:
        """Do something with every dead letter there is now, and count for how many it was done.

        The latest come first: what fails again meanwhile is later than all of them, and left alone.
        """
        done = 0
        async for page in self._pages(function):
            done += sum(await asyncio.gather(*map(act, page)))
        return done

    async def _pages(self, function: str | None) -> AsyncIterator[tuple[Record, ...]]:
        cursor = None
        while True:
            page = await self.store.run(
                dead_letters.read_page(function=function, limit=_AT_A_TIME, cursor=cursor)
            )
            yield page.records
            cursor = page.next_cursor
            if cursor is None:
                return


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterList:
    """`GET /dead-letters`, and `DELETE` of all of them, or of those of one function."""

    letters: DeadLetters

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        page = await self.letters.store.run(
            dead_letters.read_page(
                function=req.get_param("function"),
                limit=paging.limit_of(req),
                cursor=paging.position_of(req, _POSITION),
            )
        )
        next_cursor = paging.cursor_of(page.next_cursor) if page.next_cursor is not None else None
        listed = [_shown(record) for record in page.records]
        reply(resp, 200, {"dead_letters": listed, "next_cursor": next_cursor})

    async def on_delete(self, req: Request, resp: falcon.asgi.Response) -> None:
        purged = await self.letters.each(self.letters.purge, function=req.get_param("function"))
        reply(resp, 200, {"purged": purged})


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """`GET` and `DELETE /dead-letters/{id}`."""

    letters: DeadLetters

    async def on_get(self, req: Request, resp: falcon.asgi.Response, invocation_id: str) -> None:
        record = await self.letters.find(invocation_id)
        note(req, function=record.function, invocation_id=record.id)
        reply(resp, 200, _shown(record))

    async def on_delete(self, req: Request, resp: falcon.asgi.Response, invocation_id: str) -> None:
        record = await self.letters.find(invocation_id)
        note(req, function=record.function, invocation_id=record.id)
        if not await self.letters.purge(record):
            raise UnknownDeadLetterError(invocation_id)
        resp.status = 204


@dataclass(frozen=True, slots=True, kw_only=True)
class Redrive:
    """`POST /dead-letters/{id}/redrive`: new deliveries of the same invocation."""

    letters: DeadLetters

    async def on_post(self, req: Request, resp: falcon.asgi.Response, invocation_id: str) -> None:
        record = await self.letters.find(invocation_id)
        note(req, function=record.function, invocation_id=record.id)
        if not await self.letters.redrive(record):
            raise UnknownDeadLetterError(invocation_id)
        answer_accepted(
            resp, invocation_id=record.id, function=record.function, status=Status.QUEUED
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RedriveAll:
    """`POST /dead-letters/redrive`: all of them, or those of one function."""

    letters: DeadLetters

    async def on_post(self, req: Request, resp: falcon.asgi.Response) -> None:
        redriven = await self.letters.each(self.letters.redrive, function=req.get_param("function"))
        reply(resp, 202, {"redriven": redriven})


def _shown(record: Record) -> dict[str, Any]:
    shown = record.to_json()
    return {"id": record.id, "reason": shown.pop("dead_letter")} | shown
