"""One run of an invocation's handler."""

import asyncio
import contextlib
from typing import Any

from runtime import json_text
from runtime.context import Context
from runtime.errors import EyasError
from runtime.function import Function


class InvalidResultError(EyasError):
    """A handler returned something that JSON cannot hold."""


class AttemptRunner(contextlib.AbstractContextManager["AttemptRunner"]):
    """Runs attempts, one at a time, in the thread that created it.

    `async def` handlers share one event loop, so that what they keep between attempts (an HTTP
    client's connections, say) stays usable.
    """

    def __init__(self) -> None:
        self._loop: asyncio.Runner | None = None

    def run(self, function: Function[..., Any], payload: bytes, context: Context) -> bytes:
        """Return the handler's result as JSON text.

        Raises what the handler raises, `InvalidPayloadError` before the handler is called, and
        `InvalidResultError` after it.
        """
        arguments = function.payload.arguments(payload)
        returned = self.call(function, arguments, context)
        try:
            return json_text.encode(returned)
        except json_text.NotJSONError as error:
            raise InvalidResultError(
                f"function {function.name!r} returned what JSON cannot hold: {error}"
            ) from error

    def call(
        self, function: Function[..., Any], arguments: dict[str, Any], context: Context
    ) -> Any:
        """Call the handler, awaiting it if it is `async def`."""
        if function.payload.context_parameter is not None:
            arguments = {**arguments, function.payload.context_parameter: context}
        returned = function.handler(**arguments)
        if function.is_async:
            if self._loop is None:
                self._loop = asyncio.Runner()
            return self._loop.run(returned)
        return returned

    def __exit__(self, *_: object) -> None:
        if self._loop is not None:
            self._loop.close()
            self._loop = None
