"""Bodies of requests, and the numbers in them."""

from typing import TypeVar

import msgspec

from runtime.errors import PayloadTooLargeError
from runtime.web.aws.errors import LambdaError, failed_validation
from runtime.web.exchange import Request, read_body

T = TypeVar("T")

_MOST_BYTES = 65_536


def check_range(number: int, member: str, *, least: int, most: int) -> None:
    """Raise `LambdaError` with AWS's words for a number that is too small or too large."""
    if number > most:
        raise failed_validation(str(number), member, f"have value less than or equal to {most}")
    if number < least:
        raise failed_validation(str(number), member, f"have value greater than or equal to {least}")


async def read_object(req: Request, kind: type[T]) -> T:
    """Return the body as what AWS's model says it is; raises `LambdaError`."""
    try:
        text = await read_body(req, limit_bytes=_MOST_BYTES)
        return msgspec.json.decode(text or b"{}", type=kind)
    except PayloadTooLargeError as error:
        raise LambdaError("RequestEntityTooLargeException", str(error)) from error
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise LambdaError("SerializationException", str(error)) from error
