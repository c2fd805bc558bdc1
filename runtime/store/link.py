"""Connections to the broker that carry commands and answers, and nothing else.

redis-py opens them: address, TLS, name and password, database. Its streams, timeouts and locks
would cost web more than everything else that it does for a step, so from then on they are passed
over.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Self

import hiredis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import NoScriptError, ResponseError

OnReply = Callable[[Any], None]
"""Is given the broker's answer, or as an exception why there is none or it is none."""


class _Wire(asyncio.Protocol):
    """One connection; whatever comes is `_heard`, and its end is `_lost`."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer  # some Pythons close the transport of one that is forgotten
        self._transport = writer.transport
        self._reader = hiredis.Reader(replyError=_error)
        self._is_open = True
        self._closed = asyncio.get_running_loop().create_future()
        self._transport.set_protocol(self)

    @classmethod
    async def open(cls, connection: AbstractConnection) -> Self:
        """Let a connection of redis-py connect, and take it over. Raises what `connect` raises."""
        await connection.connect()  # type: ignore[no-untyped-call]
        writer = connection._writer  # noqa: SLF001  there is no public way to have it
        assert writer is not None  # noqa: S101  it is connected
        # It would close what it still knows of.
        connection._writer = connection._reader = None  # noqa: SLF001
        return cls(writer)

    @property
    def is_open(self) -> bool:
        """Whether it can be used, as far as it is known."""
        return self._is_open

    def close(self) -> None:
        """Give it up: what is still under way is never seen."""
        self._is_open = False
        self._transport.abort()

    async def wait_closed(self) -> None:
        """Return when its socket is closed."""
        await self._closed

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while self._is_open:
            try:
                reply = self._reader.gets()
            except hiredis.HiredisError as error:  # it is no broker that speaks
                self._lost(LostError(str(error)))
                return
            if reply is False:  # only a part of it; no answer is a boolean
                return
            self._heard(reply)

    def connection_lost(self, error: Exception | None) -> None:
        self._lost(LostError(str(error or "the connection was closed")))
        self._closed.set_result(None)

    def _heard(self, reply: Any) -> None:
        raise NotImplementedError

    def _lost(self, error: Exception) -> None:
        raise NotImplementedError


class Link(_Wire):
    """One connection, with one command under way at a time.

    Whoever uses it limits the time of an answer, by `close`.
    """

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        super().__init__(writer)
        self._on_reply: OnReply | None = None

    def send(self, command: bytes, on_reply: OnReply) -> None:
        """Send a packed command; `on_reply` is called once, later."""
        self._on_reply = on_reply
        self._transport.write(command)

    def close(self) -> None:
        """Give it up: an answer that is still under way is never seen."""
        self._on_reply = None
        super().close()

    def _heard(self, reply: Any) -> None:
        on_reply, self._on_reply = self._on_reply, None
        if on_reply is None:
            self.close()  # nobody asked: nobody knows what the next answer would belong to
        else:
            on_reply(reply)

    def _lost(self, error: Exception) -> None:
        on_reply = self._on_reply
        self.close()
        if on_reply is not None:
            on_reply(error)


class Subscription(_Wire):
    """One connection that listens to channels. All that comes is put into `take`, once it is set.

    Whoever uses it notices silence, by `ping`.
    """

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        super().__init__(writer)
        self.take: OnReply | None = None
        self._ended: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    def subscribe(self, *channels: str) -> None:
        """Ask for channels; an answer comes for each, when it is in force."""
        self._transport.write(_packed("SUBSCRIBE", *channels))

    def unsubscribe(self, channel: str) -> None:
        """Ask for no more of a channel; an answer comes."""
        self._transport.write(_packed("UNSUBSCRIBE", channel))

    def ping(self) -> None:
        """Ask for any answer."""
        self._transport.write(_packed("PING"))

    async def ended(self, *, seconds: float) -> Exception | None:
        """Wait so long for the end of the connection, and return why it ended, if it has."""
        await asyncio.wait([self._ended], timeout=seconds)
        return self._ended.result() if self._ended.done() else None

    def _heard(self, reply: Any) -> None:
        if isinstance(reply, Exception):
            self._lost(reply)
        elif self.take is not None:
            self.take(reply)

    def _lost(self, error: Exception) -> None:
        if not self._ended.done():
            self._ended.set_result(error)
        self.close()


def _packed(*parts: Any) -> bytes:
    packed: bytes = hiredis.pack_command(parts)
    return packed


def _error(text: str) -> ResponseError:
    return NoScriptError(text) if text.startswith("NOSCRIPT") else ResponseError(text)
