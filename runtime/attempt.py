"""One run of an invocation's handler."""

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

from runtime import json_text
from runtime.context import Context
from runtime.errors import EyasError, SoftTimeoutError
from runtime.function import Function


class InvalidResultError(EyasError):
    """A handler returned something that JSON cannot hold, or too much."""


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

    def run(self, function: Function[..., Any], payload: bytes, context: Context | None) -> bytes:
        """Return the handler's result as JSON text. One that takes no context needs none.

        Raises what the handler raises, `InvalidPayloadError` before the handler is called, and
        `InvalidResultError` after it.
        """
        self.run_seconds = 0.0
        arguments = arguments_of(function, payload, context)
        started = time.monotonic()
        try:
            returned = self._call(function, arguments)
        finally:
            self.run_seconds = time.monotonic() - started
        return result_text(function, returned)

    def _call(self, function: Function[..., Any], arguments: dict[str, Any]) -> Any:
        if function.is_async:
            if self._loop is None:
                self._loop = asyncio.Runner()
            return self._loop.run(awaited(function, arguments))
        if function.soft_timeout_seconds is None:
            return function.handler(**arguments)
        with _soft_timeout(function.soft_timeout_seconds):
            return function.handler(**arguments)

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


async def awaited(function: Function[..., Any], arguments: dict[str, Any]) -> Any:
    """Await an `async def` handler, under its soft timeout."""
    if function.soft_timeout_seconds is None:
        return await function.handler(**arguments)
    limit = asyncio.timeout(function.soft_timeout_seconds)
    try:
        async with limit:
            return await function.handler(**arguments)
    except TimeoutError as error:
        if limit.expired():
            raise _soft_timeout_error(function.soft_timeout_seconds) from error
        raise


def result_text(function: Function[..., Any], returned: Any) -> bytes:
    """Return a handler's result as JSON text. Raises `InvalidResultError`."""
    try:
        return json_text.encode(returned)
    except json_text.NotJSONError as error:
        raise InvalidResultError(
            f"function {function.name!r} returned what JSON cannot hold: {error}"
        ) from error


def check_size(result: bytes, *, most_bytes: int) -> None:
    """Raise `InvalidResultError` if a result is too large to be kept."""
    if len(result) > most_bytes:
        raise InvalidResultError(
            f"the result has {len(result)} bytes; the limit is {most_bytes} (EYAS_MAX_RESULT_BYTES)"
        )


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
