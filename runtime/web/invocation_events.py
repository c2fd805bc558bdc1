"""`GET /invocations/{id}/events`: what becomes of an invocation, as it happens."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import falcon
import falcon.asgi

from runtime.errors import (
    BrokerUnavailableError,
    ExpiredInvocationError,
    UnknownInvocationError,
)
from runtime.invocation import Record
from runtime.store.channels import Hears
from runtime.web.event_stream import RECONNECT, Event, OpenStreams, begin
from runtime.web.exchange import Request, note
from runtime.web.invoking import Invoker

_READ_AGAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationEvents:
    """Answers one event `status` at once, and one for each change, until the invocation has ended.

    404 and 410 as for the record. An event's id is a digest of its record, so whoever comes again
    with `Last-Event-ID` is told the present state only if it is another one, and no process has to
    remember what it has sent. If the last event was that of the end, there will be no other: 204
    tells the client to stay away.
    """

    invoker: Invoker
    streams: OpenStreams

    async def on_get(self, req: Request, resp: falcon.asgi.Response, invocation_id: str) -> None:
        record = await self.invoker.read(invocation_id)
        note(req, function=record.function, invocation_id=record.id)
        seen = req.header(b"last-event-id")
        if record.is_terminal and _event(record).id == seen:
            resp.status = falcon.HTTP_204
        else:
            begin(resp, self._events(req, record, seen))

    async def _events(self, req: Request, record: Record, seen: str | None) -> AsyncIterator[bytes]:
        yield RECONNECT
        with (
            self.invoker.watcher.watch(record.id, hears=Hears.STATUSES) as watch,
            self.streams.open(req, watch.changed) as stream,
        ):
            watch.read_first()
            while not stream.is_over:
                event = _event(record)
                if event.id != seen:
                    yield event.encode()
                    seen = event.id
                if record.is_terminal:
                    return
                async for comment in stream.wait():
                    yield comment
                try:
                    record = watch.record or await self.invoker.read(record.id)
                except BrokerUnavailableError:
                    # The watch wakes it when the connection is back. If that was never lost,
                    # nobody does.
                    asyncio.get_running_loop().call_later(_READ_AGAIN_SECONDS, watch.changed.set)
                except (UnknownInvocationError, ExpiredInvocationError):
                    return  # purged, or reset; whoever comes again is told so


def _event(record: Record) -> Event:
    return Event.of("status", record.to_json(), has_id=True)
