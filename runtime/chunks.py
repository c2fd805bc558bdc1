"""What a generator handler yields: its chunks, which together are its result."""

import contextlib
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, NamedTuple

from runtime import json_text
from runtime.errors import InvalidResultError, SoftTimeoutError

_END = object()


class Part(NamedTuple):
    """Chunks that go on together, as a JSON list. `number` counts those of an attempt, from 0."""

    number: int
    chunks: bytes


class Chunks:
    """What one attempt has yielded so far, as the JSON text of a list.

    One thread may add while another one takes. `tell` is called after each chunk: there is
    something to take. Together they may have `most_bytes`, as any result.
    """

    def __init__(
        self,
        *,
        function: str,
        most_bytes: int | None = None,
        tell: Callable[[], None] = lambda: None,
    ) -> None:
        self._function = function
        self._most_bytes = most_bytes
        self._tell = tell
        # Not closed: there is a comma behind each chunk.
        self._text = bytearray(b"[")
        self._taken_bytes = 1
        self._taken_parts = 0

    @property
    def size_bytes(self) -> int:
        """How long the list is so far; it grows by each chunk."""
        return len(self._text)

    @property
    def result(self) -> bytes:
        """The JSON text of the list of all chunks."""
        return bytes(self._text.removesuffix(b",")) + b"]"

    def add(self, value: Any) -> None:
        """Take note of what was yielded. Raises `InvalidResultError`."""
        try:
            chunk = json_text.encode(value)
        except json_text.NotJSONError as error:
            raise InvalidResultError(
                f"function {self._function!r} yielded what JSON cannot hold: {error}"
            ) from error
        size_bytes = len(self._text) + len(chunk) + 1
        if self._most_bytes is not None and size_bytes > self._most_bytes:
            raise InvalidResultError.too_large(size_bytes, most_bytes=self._most_bytes)
        # At once: an alarm may ring between any two.
        self._text += chunk + b","
        self._tell()

    def take(self) -> Part | None:
        """Return all that was not taken before; None if there is nothing."""
        end = len(self._text)
        if end == self._taken_bytes:
            return None
        # Up to here: more may be added meanwhile.
        part = Part(self._taken_parts, b"[%b]" % bytes(self._text[self._taken_bytes : end - 1]))
        self._taken_bytes = end
        self._taken_parts += 1
        return part


def gather(generator: Generator[Any, Any, Any], chunks: Chunks) -> None:
    """Run a handler that is a generator to its end.

    Raises what it raises, and `InvalidResultError`.
    """
    with contextlib.closing(generator):
        value = next(generator, _END)
        while value is not _END:
            size_bytes = chunks.size_bytes
            try:
                chunks.add(value)
            except SoftTimeoutError as error:
                # The alarm has rung in here, and is for the handler, which stands at its `yield`.
                # It rings once.
                if chunks.size_bytes == size_bytes:
                    chunks.add(value)
                value = _throw(generator, error)
            else:
                value = next(generator, _END)


async def gather_async(generator: AsyncGenerator[Any, Any], chunks: Chunks) -> None:
    """Run a handler that is an asynchronous generator to its end; raises as `gather`."""
    async with contextlib.aclosing(generator):
        async for value in generator:
            chunks.add(value)


def _throw(generator: Generator[Any, Any, Any], error: Exception) -> Any:
    try:
        return generator.throw(error)
    except StopIteration:
        return _END
