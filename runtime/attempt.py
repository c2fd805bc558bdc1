"""One run of an invocation's handler."""

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

from runtime import json_text
from runtime.chunks import Chunks, gather, gather_async
from runtime.context import Context
from runtime.errors import InvalidResultError, SoftTimeoutError
from runtime.function import Function


class AttemptRunner(contextlib.AbstractContextManager["AttemptRunner"]):
    """Runs attempts, one at a time, in the thread that created it.

    `async def` handlers share one event loop, so that what they keep between attempts (an HTTP
    client's connections, say) stays usable. At its soft timeout a handler gets `SoftTimeoutError`;
    one that is `async def` is cancelled, and the error is raised in its place.
    """

    def __init__(self) -> None:
        self._loop: asyncio.Runner | None = None
        self.run_seconds = 0.0
        """How long the latest handler has run."""

    def run(
        self,
        function: Function[..., Any],
        payload: bytes,
        context: Context | None,
        *,
        chunks: Chunks | None = None,
    ) -> bytes:
        """Return the handler's result as JSON text. One that takes no context needs none.

        What a generator yields goes into `chunks`, if anybody wants to have it before the end.

        Raises what the handler raises, `InvalidPayloadError` before the handler is called, and
        `InvalidResultError` after it.
        """
        self.run_seconds = 0.0
        arguments = arguments_of(function, payload, context)
        started = time.monotonic()
        try:
            returned = self._call(function, arguments, chunks)
        finally:
            self.run_seconds = time.monotonic() - started
        return result_text(function, returned)

    def _call(
        self, function: Function[..., Any], arguments: dict[str, Any], chunks: Chunks | None
    ) -> Any:
        if function.is_async:
            if self._loop is None:
                self._loop = asyncio.Runner()
            return self._loop.run(awaited(function, arguments, chunks))
        if function.soft_timeout_seconds is None:
            return called(function, arguments, chunks)
        with _soft_timeout(function.soft_timeout_seconds):
            return called(function, arguments, chunks)

    def __exit__(self, *_: object) -> None:
        if self._loop is not None:
            self._loop.close()
            self._loop = None


def arguments_of(
    function: Function[..., Any], payload: bytes, context: Context | None
) -> dict[str, Any]:
    """Return what the handler is called with. Raises `InvalidPayloadError`."""
    arguments = function.payload.arguments(payload)
    if function.payload.context_parameter is not None:
        arguments[function.payload.context_parameter] = context
    return arguments


def called(
    function: Function[..., Any], arguments: dict[str, Any], chunks: Chunks | None = None
) -> Any:
    """Call a handler. Of a generator, all that it yields goes into the chunks that are returned."""
    if not function.yields:
        return function.handler(**arguments)
    chunks = chunks or Chunks(function=function.name)
    gather(function.handler(**arguments), chunks)
    return chunks


async def awaited(
    function: Function[..., Any], arguments: dict[str, Any], chunks: Chunks | None = None
) -> Any:
    """Await an `async def` handler, under its soft timeout; of a generator as `called`."""
    if function.soft_timeout_seconds is None:
        return await _awaited(function, arguments, chunks)
    limit = asyncio.timeout(function.soft_timeout_seconds)
    try:
        async with limit:
            return await _awaited(function, arguments, chunks)
    except TimeoutError as error:
        if limit.expired():
            raise _soft_timeout_error(function.soft_timeout_seconds) from error
        raise


def result_text(function: Function[..., Any], returned: Any) -> bytes:
    """Return a handler's result as JSON text. Raises `InvalidResultError`."""
    if isinstance(returned, Chunks):
        return returned.result
    try:
        return json_text.encode(returned)
    except json_text.NotJSONError as error:
        raise InvalidResultError(
            f"function {function.name!r} returned what JSON cannot hold: {error}"
        ) from error


def check_size(result: bytes, *, most_bytes: int) -> None:
    """Raise `InvalidResultError` if a result is too large to be kept."""
    if len(result) > most_bytes:
        raise InvalidResultError.too_large(len(result), most_bytes=most_bytes)


async def _awaited(
    function: Function[..., Any], arguments: dict[str, Any], chunks: Chunks | None
) -> Any:
    if not function.yields:
        return await function.handler(**arguments)
    chunks = chunks or Chunks(function=function.name)
    await gather_async(function.handler(**arguments), chunks)
    return chunks


@contextlib.contextmanager
def _soft_timeout(seconds: float) -> Iterator[None]:
    """Raise `SoftTimeoutError` in the body after so many seconds."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread hears of signals
        return

    def ring(_number: int, _frame: Any) -> None:
        raise _soft_timeout_error(seconds)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _soft_timeout_error(seconds: float) -> SoftTimeoutError:
    return SoftTimeoutError(f"the soft timeout of {seconds:g} seconds has passed")
