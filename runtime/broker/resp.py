"""The few commands that the broker process asks of its own server, over one plain connection.

Not a client library: words without spaces go out as inline commands, RESP2 replies come in.
https://valkey.io/topics/protocol/
"""

import asyncio
from typing import Self, TypeAlias

from runtime.errors import EyasError

Reply: TypeAlias = "str | int | list[Reply] | None"


class ServerError(EyasError):
    """The server answered with an error, such as `LOADING` while it reads its data."""


class Connection:
    """A connection to the server; use it in `async with`.

    Every method raises `OSError` (`TimeoutError` is one) when the server cannot be reached, breaks
    off, or is silent for `timeout_seconds`.
    """

    def __init__(self, port: int, *, timeout_seconds: float = 1.0) -> None:
        self._port = port
        self._timeout_seconds = timeout_seconds

    async def __aenter__(self) -> Self:
        async with asyncio.timeout(self._timeout_seconds):
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        # Not `close`: it would wait for a server that no longer reads.
        self._writer.transport.abort()

    async def command(self, *words: str) -> Reply:
        """Send one command and return its reply. Raises `ServerError` for an error reply."""
        async with asyncio.timeout(self._timeout_seconds):
            try:
                self._writer.write(" ".join(words).encode() + b"\r\n")
                await self._writer.drain()
                return await self._reply()
            except (EOFError, ValueError) as error:
                raise ConnectionError(f"not a whole reply to {words[0]}: {error}") from error

    async def text(self, *words: str) -> str:
        """Send one command whose reply is text. Raises `ServerError` if it is not."""
        reply = await self.command(*words)
        if not isinstance(reply, str):
            raise ServerError(f"expected text in reply to {words[0]}, found {reply!r}")
        return reply

    async def _reply(self) -> Reply:
        line = (await self._reader.readuntil(b"\r\n"))[:-2].decode(errors="replace")
        kind, rest = line[:1], line[1:]
        match kind:
            case "+":
                return rest
            case "-":
                raise ServerError(rest)
            case ":":
                return int(rest)
            case "$" if int(rest) < 0:
                return None
            case "$":
                text = await self._reader.readexactly(int(rest) + 2)
                return text[:-2].decode(errors="replace")
            case "*":
                return [await self._reply() for _ in range(int(rest))]
            case _:
                raise ValueError(f"unknown reply {line!r}")
