"""Parameters of routes that list something part by part."""

import base64
import binascii
import re

import falcon

from runtime.web.exchange import Request

_DEFAULT_LIMIT = 20
_HIGHEST_LIMIT = 100


def limit_of(req: Request) -> int:
    """Return the parameter `limit`; raises falcon's 400."""
    text = req.get_param("limit")
    if text is None:
        return _DEFAULT_LIMIT
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= _HIGHEST_LIMIT:
        raise falcon.HTTPBadRequest(
            description=f"limit: expected a whole number from 1 to {_HIGHEST_LIMIT}"
        )
    return int(text)


def cursor_of(position: str) -> str:
    """Return the cursor that stands for a position of the store; clients read nothing in it."""
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


def position_of(req: Request, pattern: re.Pattern[str]) -> str | None:
    """Return what the parameter `cursor` stands for; raises falcon's 400."""
    cursor = req.get_param("cursor")
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        position = raw.decode("ascii")
    except (binascii.Error, ValueError):
        position = ""
    if not pattern.fullmatch(position):
        raise falcon.HTTPBadRequest(
            description="cursor: expected the next_cursor of an earlier answer"
        )
    return position
