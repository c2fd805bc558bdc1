"""The `Prefer` header (RFC 7240)."""

import re

# A preference is a token with an optional value and optional parameters. Lists are joined by
# commas, and a quoted value may hold one.
_ITEM = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_WAIT = re.compile(r'\s*wait\s*=\s*"?\s*(?P<seconds>\d{1,9})\s*"?\s*(?:;.*)?', re.IGNORECASE)


def wait_seconds(header: str | None, *, longest: int) -> int | None:
    """Return the seconds of the first `wait=N`, at most `longest`.

    None if there is no such preference; what is malformed or unknown is ignored (section 2).
    """
    for item in _ITEM.findall(header or ""):
        found = _WAIT.fullmatch(item)
        if found and int(found["seconds"]) > 0:
            return min(int(found["seconds"]), longest)
    return None
