"""What every resource does with a request and a response."""

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Any

import falcon
import falcon.asgi
import msgspec

from runtime.errors import PayloadTooLargeError
from runtime.tracing import RequestSpan  # noqa: TC001  slots are annotated where they are set

# curl sends the form type unless told otherwise, and boto3 sends none at all.
_READ_AS_JSON = frozenset({"", "application/json", "application/x-www-form-urlencoded"})
# Of a body that is refused.
_DROPPED_BYTES = 64_000_000
_DROP_SECONDS = 5.0
_NOTHING: Mapping[str, str | int] = MappingProxyType({})
_encode = msgspec.json.Encoder().encode


class Request(falcon.asgi.Request):
    """A request, what we note of it, and a way to tell when its client hangs up.

    `started` is when it came, by `time.perf_counter`. `noted` is what it is about, for its log
    line, and `refusal` why it was answered with an error: a word or two. It has a `span` if traces
    are on.
    """

    __slots__ = (
        "_announced",
        "_body_event",
        "_next_event",
        "noted",
        "refusal",
        "request_id",
        "span",
        "started",
    )

    def __init__(
        self, scope: dict[str, Any], receive: Any, first_event: Any = None, options: Any = None
    ) -> None:
        self.started = time.perf_counter()
        super().__init__(scope, receive, first_event, options)
        self._next_event = receive
        self._body_event = first_event
        self._announced: int | None = -1  # not looked at
        self.request_id = ""
        self.refusal = ""
        self.noted: Mapping[str, str | int] = _NOTHING
        self.span: RequestSpan | None = None

    def header(self, name: bytes) -> str | None:
        """Return a header's value, by its name in lower case.

        falcon's own `get_header` takes three times as long, and an invocation asks for ten.
        """
        value = self._asgi_headers.get(name)
        return value.decode("latin-1") if value is not None else None

    @property
    def trace_parent(self) -> str | None:
        """Where the trace of what the request causes goes on, as a `traceparent` header's value.

        Without a span it is the caller's own.
        """
        return self.header(b"traceparent") if self.span is None else self.span.trace_parent

    @property
    def announced_bytes(self) -> int | None:
        """`Content-Length`; None if there is none. Raises falcon's 400 if it is no number."""
        if self._announced == -1:
            self._announced = self.content_length
        return self._announced

    def asks_for(self, names: frozenset[bytes]) -> bool:
        """Tell whether any of these headers is there; their names are in lower case."""
        return not names.isdisjoint(self._asgi_headers)

    def whole_body(self) -> bytes | None:
        """Return the body if it came with the request's beginning; None if more is to come."""
        body: bytes = self._body_event.get("body", b"")
        if not self._body_event.get("more_body") or len(body) == self.announced_bytes:
            return body
        return None

    async def hung_up(self) -> None:
        """Return when the client hangs up. Only after the body has been read.

        https://asgi.readthedocs.io/en/latest/specs/www.html#disconnect-receive-event
        """
        while (await self._next_event())["type"] != "http.disconnect":
            pass


def payload_at_hand(req: Request, *, limit_bytes: int) -> bytes | None:
    """Return the body if nothing has to be waited for and nothing is wrong with it.

    Else None: `read_payload` reads it, or says what is wrong.
    """
    if (req.content_type or "") not in _READ_AS_JSON:
        return None
    body = req.whole_body()
    if body is None or len(body) > limit_bytes or len(body) != req.announced_bytes:
        return None
    return body


async def read_payload(req: Request, *, limit_bytes: int) -> bytes:
    """Return the request's body, without reading more than `limit_bytes` of it.

    Raises `PayloadTooLargeError`, and falcon's 415 for a media type that is not read as JSON.
    """
    media_type = media_type_of(req.content_type or "")
    if media_type not in _READ_AS_JSON and not media_type.endswith("+json"):
        raise falcon.HTTPUnsupportedMediaType(
            description=f"a payload is JSON; got {media_type!r}. Send application/json."
        )
    return await read_body(req, limit_bytes=limit_bytes)


async def read_body(req: Request, *, limit_bytes: int) -> bytes:
    """Return the request's body, without keeping more than `limit_bytes` of it.

    Raises `PayloadTooLargeError`.
    """
    announced = req.announced_bytes
    chunks = aiter(req.stream)
    if (announced or 0) > limit_bytes:
        await _drop(chunks)
        raise PayloadTooLargeError(limit_bytes)
    received: bytes | bytearray | None = req.whole_body()
    if received is None:
        received = bytearray()
        async for chunk in chunks:
            received += chunk
            if len(received) > limit_bytes:
                break
    if len(received) > limit_bytes:
        await _drop(chunks)
        raise PayloadTooLargeError(limit_bytes)
    if announced is not None and len(received) != announced:
        # What there is may well be JSON, and mean something else.
        raise falcon.HTTPBadRequest(
            description=f"the body ended after {len(received)} of {announced} bytes"
        )
    return bytes(received)


async def _drop(chunks: AsyncIterator[bytes]) -> None:
    """Read what the client is still sending of a body, up to a limit.

    A client that is cut off while it sends often sees a broken pipe, and not the answer.
    """
    dropped = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DROP_SECONDS):
            async for chunk in chunks:
                dropped += len(chunk)
                if dropped > _DROPPED_BYTES:
                    return


@functools.lru_cache(maxsize=100)
def media_type_of(content_type: str) -> str:
    """Return a `Content-Type` without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def note(req: Request, *, function: str, invocation_id: str) -> None:
    """Put what a request is about on its log line."""
    req.noted = {"function": function, "invocation_id": invocation_id}


def reply(
    resp: falcon.asgi.Response, status: int, value: Any, *, location: str | None = None
) -> None:
    """Answer with a JSON value."""
    resp.status = status
    # falcon's own setters take some five times as long.
    headers = resp._headers  # noqa: SLF001
    headers["content-type"] = "application/json"
    if location is not None:
        headers["location"] = location
    resp.data = _encode(value)
