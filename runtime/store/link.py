"""A connection to the broker that carries commands and answers, and nothing else.

redis-py opens it: address, TLS, name and password, database. Its streams, timeouts and locks would
cost web more than everything else that it does for a step, so from then on they are passed over.
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


class Link(asyncio.Protocol):
    """One connection, with one command under way at a time.

    Whoever uses it limits the time of an answer, by `close`.
    """

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer  # some Pythons close the transport of one that is forgotten
        self._transport = writer.transport
        self._reader = hiredis.Reader(replyError=_error)
        self._on_reply: OnReply | None = None
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

    def send(self, command: bytes, on_reply: OnReply) -> None:
        """Send a packed command; `on_reply` is called once, later."""
        self._on_reply = on_reply
        self._transport.write(command)

    def close(self) -> None:
        """Give it up: an answer that is still under way is never seen."""
        self._on_reply = None
        self._is_open = False
        self._transport.abort()

    async def wait_closed(self) -> None:
        """Return when its socket is closed."""
        await self._closed

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            reply = self._reader.gets()
        except hiredis.HiredisError as error:  # it is no broker that speaks
            self._end(LostError(str(error)))
            return
        if reply is False:  # only a part of it; no answer is a boolean
            return
        on_reply, self._on_reply = self._on_reply, None
        if on_reply is None:
            self.close()  # nobody asked: nobody knows what the next answer would belong to
        else:
            on_reply(reply)

    def connection_lost(self, error: Exception | None) -> None:
        self._end(LostError(str(error or "the connection was closed")))
        self._closed.set_result(None)

    def _end(self, error: Exception) -> None:
        on_reply = self._on_reply
        self.close()
        if on_reply is not None:
            on_reply(error)


def _error(text: str) -> ResponseError:
    return NoScriptError(text) if text.startswith("NOSCRIPT") else ResponseError(text)
