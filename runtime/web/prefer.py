"""The `Prefer` header (RFC 7240)."""

import re

_WAIT = re.compile(r'\s*wait\s*=\s*"?\s*(?P<seconds>\d{1,9})\s*"?\s*(?:;.*)?', re.IGNORECASE)
_LONGEST_HEADER = 1000  # characters; who prefers more is not heard


def wait_seconds(header: str | None, *, longest: int) -> int | None:
    """Return the seconds of the first `wait=N`, at most `longest`.

    None if there is no such preference; what is malformed or unknown is ignored (section 2).
    """
    if header is None or len(header) > _LONGEST_HEADER:
        return None
    for item in _split(header):
        found = _WAIT.fullmatch(item)
        if found and int(found["seconds"]) > 0:
            return min(int(found["seconds"]), longest)
    return None


def _split(header: str) -> list[str]:
    """Split a list at its commas, except those inside quoted strings (RFC 9110, section 5.6.4)."""
    items = [""]
    is_quoted = is_escaped = False
    for character in header:
        if character == "," and not is_quoted:
            items.append("")
            continue
        if character == '"' and not is_escaped:
            is_quoted = not is_quoted
        is_escaped = is_quoted and character == "\\" and not is_escaped
        items[-1] += character
    return items
