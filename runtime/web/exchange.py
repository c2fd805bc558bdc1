"""What every resource does with a request and a response."""

from typing import Any

import falcon
import falcon.asgi
import msgspec

from runtime.errors import PayloadTooLargeError

# curl sends the form type unless told otherwise, and boto3 sends none at all.
_READ_AS_JSON = frozenset({"", "application/json", "application/x-www-form-urlencoded"})


class Request(falcon.asgi.Request):
    """A request that can also tell when its client hangs up."""

    __slots__ = ("_next_event",)

    def __init__(
        self, scope: dict[str, Any], receive: Any, first_event: Any = None, options: Any = None
    ) -> None:
        super().__init__(scope, receive, first_event=first_event, options=options)
        self._next_event = receive

    async def hung_up(self) -> None:
        """Return when the client hangs up. Only after the body has been read.

        https://asgi.readthedocs.io/en/latest/specs/www.html#disconnect-receive-event
        """
        while (await self._next_event())["type"] != "http.disconnect":
            pass


async def read_payload(req: falcon.asgi.Request, *, limit_bytes: int) -> bytes:
    """Return the request's body, without reading more than `limit_bytes` of it.

    Raises `PayloadTooLargeError`, and falcon's 415 for a media type that is not read as JSON.
    """
    media_type = (req.content_type or "").partition(";")[0].strip().lower()
    if media_type not in _READ_AS_JSON and not media_type.endswith("+json"):
        raise falcon.HTTPUnsupportedMediaType(
            description=f"a payload is JSON; got {media_type!r}. Send application/json."
        )
    if (req.content_length or 0) > limit_bytes:
        raise PayloadTooLargeError(limit_bytes)
    received = bytearray()
    async for chunk in req.stream:
        received += chunk
        if len(received) > limit_bytes:
            raise PayloadTooLargeError(limit_bytes)
    if req.content_length is not None and len(received) != req.content_length:
        # What there is may well be JSON, and mean something else.
        raise falcon.HTTPBadRequest(
            description=f"the body ended after {len(received)} of {req.content_length} bytes"
        )
    return bytes(received)


def note(req: falcon.asgi.Request, *, function: str, invocation_id: str) -> None:
    """Put what a request is about on its log line."""
    req.context.noted |= {"function": function, "invocation_id": invocation_id}


def reply(resp: falcon.asgi.Response, status: int, value: Any) -> None:
    """Answer with a JSON value."""
    resp.status = status
    resp.content_type = "application/json"
    resp.data = msgspec.json.encode(value)
