"""What every resource does with a request and a response."""

from typing import Any

import falcon
import falcon.asgi
import msgspec

from runtime.errors import PayloadTooLargeError

# curl sends the form type unless told otherwise, and boto3 sends none at all.
_READ_AS_JSON = frozenset({"", "application/json", "application/x-www-form-urlencoded"})


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


def reply(resp: falcon.asgi.Response, status: int, value: Any) -> None:
    """Answer with a JSON value."""
    resp.status = status
    resp.content_type = "application/json"
    resp.data = msgspec.json.encode(value)
