"""`GET /invocations/{id}/logs`: what all processes here have logged about an invocation."""

import asyncio
from collections.abc import AsyncIterator, Generator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice

import falcon.asgi

from runtime.invocation import Record
from runtime.logs.reader import LogFilter, read
from runtime.logs.record import LogRecord
from runtime.store import clock
from runtime.web.exchange import Request, note
from runtime.web.invoking import Invoker

_LINES_AT_ONCE = 200
_MOST_READERS = 2
# The line of its acceptance may have been written by a clock that goes a little slow.
_SLACK = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationLogs:
    """Answers JSON lines as they are in the log folder of web, oldest first.

    404 and 410 as for the record. The lines of processes on other machines are not there.
    """

    invoker: Invoker
    # Not the default one: many open pages would keep all its threads, and others need them.
    threads: Executor = field(
        default_factory=lambda: ThreadPoolExecutor(_MOST_READERS, thread_name_prefix="logs")
    )

    async def on_get(self, req: Request, resp: falcon.asgi.Response, invocation_id: str) -> None:
        record = await self.invoker.read(invocation_id)
        note(req, function=record.function, invocation_id=record.id)
        resp.content_type = "application/x-ndjson"
        # Logs go by the right time. The clock of invocations was never further ahead than now.
        ahead = timedelta(microseconds=(await self.invoker.store.run(clock.read())).ahead_us)
        accepted_at = datetime.fromtimestamp(record.accepted_at_us / 1_000_000, UTC)
        resp.stream = self._lines(record, since=accepted_at - ahead - _SLACK)

    async def _lines(self, record: Record, *, since: datetime) -> AsyncIterator[bytes]:
        # Read beside the event loop: the folder may hold much.
        run = partial(asyncio.get_running_loop().run_in_executor, self.threads)
        found = self._found(record, since=since)
        try:
            while lines := await run(lambda: list(islice(found, _LINES_AT_ONCE))):
                yield b"".join(line.line + b"\n" for line in lines)
        finally:
            await run(found.close)

    def _found(self, record: Record, *, since: datetime) -> Generator[LogRecord]:
        wanted = LogFilter(id=record.id, is_whole_id=True, since=since)
        yield from read(self.invoker.settings.log_dir, filter=wanted)
