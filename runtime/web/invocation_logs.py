"""`GET /invocations/{id}/logs`: what all processes here have logged about an invocation."""

import asyncio
from collections.abc import AsyncIterator, Generator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

import falcon.asgi

from runtime.invocation import Record
from runtime.logs.reader import LogFilter, read
from runtime.logs.record import LogRecord
from runtime.web.exchange import Request, note
from runtime.web.invoking import Invoker

_LINES_AT_ONCE = 200
# The line of its acceptance may have been written by a clock that goes a little slow.
_SLACK = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationLogs:
    """Answers JSON lines as they are in the log folder of web, oldest first.

    404 and 410 as for the record. The lines of processes on other machines are not there.
    """

    invoker: Invoker

    async def on_get(self, req: Request, resp: falcon.asgi.Response, invocation_id: str) -> None:
        record = await self.invoker.read(invocation_id)
        note(req, function=record.function, invocation_id=record.id)
        resp.content_type = "application/x-ndjson"
        resp.stream = self._lines(record)

    async def _lines(self, record: Record) -> AsyncIterator[bytes]:
        # Read beside the event loop: the folder may hold much.
        found = self._found(record)
        try:
            while lines := await asyncio.to_thread(lambda: list(islice(found, _LINES_AT_ONCE))):
                yield b"".join(line.line + b"\n" for line in lines)
        finally:
            await asyncio.to_thread(found.close)

    def _found(self, record: Record) -> Generator[LogRecord]:
        # An emulator's clock may be ahead of that of the logs.
        is_clock_true = not self.invoker.settings.emulator
        accepted_at = datetime.fromtimestamp(record.accepted_at_us / 1_000_000, UTC)
        wanted = LogFilter(
            id=record.id, is_whole_id=True, since=accepted_at - _SLACK if is_clock_true else None
        )
        yield from read(self.invoker.settings.log_dir, filter=wanted)
