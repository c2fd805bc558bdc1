"""Answers that go on: Server-Sent Events.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import contextlib
import hashlib
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import falcon.asgi
import msgspec

from runtime.web.exchange import Request

RECONNECT = b"retry: 2000\n\n"
"""After how many milliseconds a client that was cut off is to come again; begins every stream."""

_COMMENT = b":\n\n"
_QUIET_SECONDS = 15.0  # proxies mostly close what is silent for 60
_ID_BYTES = 12
_LINE_END = re.compile(rb"\r\n|\r|\n")
# Python's `splitlines`, by which some clients read, also ends lines at these. Above ASCII, JSON has
# them in strings only, where an escape is the same character.
_LIKE_LINE_ENDS = {
    "\x85".encode(): rb"\u0085",
    "\u2028".encode(): rb"\u2028",
    "\u2029".encode(): rb"\u2029",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event: its type, JSON text, and an id for who comes again, if that is of use."""

    type: str
    data: bytes
    id: str | None = None

    @classmethod
    def of(cls, event_type: str, value: Any, *, has_id: bool = False) -> "Event":
        """Make an event of a JSON value. Its id is a digest of the value."""
        data = msgspec.json.encode(value)
        digest = hashlib.blake2b(data, digest_size=_ID_BYTES).hexdigest() if has_id else None
        return cls(type=event_type, data=data, id=digest)

    def encode(self) -> bytes:
        """Return the event as it is sent.

        Payloads are JSON as somebody has written it, and may have line ends between its tokens.
        """
        data = self.data
        for character, escaped in _LIKE_LINE_ENDS.items():
            data = data.replace(character, escaped)
        data = _LINE_END.sub(b"\ndata: ", data)
        name = b"" if self.id is None else b"id: %s\n" % self.id.encode()
        return b"event: %s\n%sdata: %s\n\n" % (self.type.encode(), name, data)


@dataclass(slots=True, eq=False, kw_only=True)
class OpenStream:
    """One answer that goes on. `changed` is set when there may be something to send.

    A comment is sent after `quiet_seconds` without an event.
    """

    changed: asyncio.Event
    quiet_seconds: float = _QUIET_SECONDS
    is_over: bool = False

    def end(self) -> None:
        """Let it end: its client has gone, or this process stops."""
        self.is_over = True
        self.changed.set()

    async def wait(self) -> AsyncIterator[bytes]:
        """Wait for `changed`, and reset it; yield what keeps the connection open until then."""
        while not self.changed.is_set():
            try:
                async with asyncio.timeout(self.quiet_seconds):
                    await self.changed.wait()
            except TimeoutError:
                yield _COMMENT
        self.changed.clear()


class OpenStreams:
    """All answers of this process that go on. Nobody has to wait for their end when it stops."""

    def __init__(self) -> None:
        self._streams: set[OpenStream] = set()
        self._is_stopping = False

    @contextlib.contextmanager
    def open(self, req: Request, changed: asyncio.Event) -> Iterator[OpenStream]:
        """Have a stream end when its client hangs up, or when `end` is called."""
        stream = OpenStream(changed=changed)
        leaving = asyncio.create_task(req.hung_up())
        leaving.add_done_callback(lambda _: stream.end())
        self._streams.add(stream)
        if self._is_stopping:
            stream.end()
        try:
            yield stream
        finally:
            self._streams.discard(stream)
            leaving.cancel()

    def end(self) -> None:
        """End them all, and those that are opened from now on."""
        self._is_stopping = True
        for stream in tuple(self._streams):
            stream.end()


def begin(resp: falcon.asgi.Response, events: AsyncIterator[bytes]) -> None:
    """Answer with what is yielded, as it is yielded."""
    resp.content_type = "text/event-stream"
    resp.set_headers(_HEADERS)
    resp.stream = events


_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    # Else nginx collects what it passes on.
    "X-Accel-Buffering": "no",
}
