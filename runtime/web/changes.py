"""`GET /changes`: what becomes of all invocations, as it happens."""

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass

import falcon.asgi

from runtime.invocation import TERMINAL, Status
from runtime.store import Watcher
from runtime.store.changes import Change
from runtime.web.event_stream import RECONNECT, Event, OpenStreams, begin
from runtime.web.exchange import Request
from runtime.web.invocations import statuses_of

_LISTENING = Event.of("listening", {}).encode()
_MISSED = Event.of("missed", {}).encode()
# What is under way to a client that reads slowly is kept beside what its listener keeps.
_MOST_AT_ONCE = 500
# What comes meanwhile is one write.
_PAUSE_SECONDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Answers one event `status` for each end, or for each change to one of the named statuses.

    They are pushed by the steps that change a status, so none is told that has not happened. There
    is no memory of them: an event `listening` says from when on changes are told, and `missed` that
    some may be missing before the next one, because the broker was away or too many came at once.
    """

    watcher: Watcher
    streams: OpenStreams

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        statuses = statuses_of(req) or sorted(TERMINAL)
        begin(resp, self._events(req, set(statuses), req.get_param("function")))

    async def _events(
        self, req: Request, statuses: Collection[Status], function: str | None
    ) -> AsyncIterator[bytes]:
        yield RECONNECT
        with (
            self.watcher.listen(statuses, function=function) as listener,
            self.streams.open(req, listener.changed) as stream,
        ):
            is_listening = False
            while not stream.is_over:
                events = []
                if listener.is_listening and not is_listening:
                    is_listening = True
                    events.append(_LISTENING)
                if listener.has_missed and listener.is_listening:
                    listener.has_missed = False
                    events.append(_MISSED)
                events += [change.once(_sent) for change in listener.take(_MOST_AT_ONCE)]
                if events:
                    yield b"".join(events)
                    await asyncio.sleep(_PAUSE_SECONDS)
                async for comment in stream.wait():
                    yield comment


def _sent(change: Change) -> bytes:
    return Event.of("status", change.to_json()).encode()
