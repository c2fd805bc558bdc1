"""Log lines for people: the one form that the consoles and `eyas logs` share.

Names and values come from payloads, from other programs and from the network. Whatever could move
the cursor, clear the screen or look like a line of its own is shown escaped.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

_MAX_VALUE = 200
_MAX_EVENT = 500
_MAX_BLOCK_LINE = 1_000
_MAX_BLOCK_LINE_COUNT = 100
_BLOCK_INDENT = "    | "

_TIMESTAMP_LENGTH = len("2026-01-31T12:30:00.000000Z")
_NO_CLOCK = "--:--:--.---"

_UUID_LENGTH = 36
_SHORT_ID = 8
_SHORT_TIME_ORDERED_ID = 13

# Shown in a place of their own, or of no use to a reader: `logger`, `pid` and `instance` are in
# the file for who needs them.
_NOT_LISTED = frozenset(
    {"timestamp", "level", "event", "logger", "process", "instance", "pid", "exception", "stack"}
)

_RESET = "\x1b[0m"
_DIM = "\x1b[2m"
_BOLD = "\x1b[1m"
_CYAN = "\x1b[36m"
_LEVEL_COLORS = {
    "debug": _DIM,
    "info": "\x1b[32m",
    "warning": "\x1b[33m",
    "error": "\x1b[31m",
    "critical": "\x1b[1;31m",
}


def render(
    line: Mapping[str, Any],
    *,
    has_colors: bool = False,
    has_process: bool = True,
    clock: str | None = None,
) -> str:
    """Return the text of one line, given as its JSON object, without a final newline.

    With a `clock`, that is in the place of the time of day.

    `HH:MM:SS.mmm process level event function short-id key=value ...` in local time, and below it,
    indented, the rest of a long event, the stack and the traceback.
    """

    def colored(text: str, color: str) -> str:
        return f"{color}{text}{_RESET}" if has_colors and color else text

    level = str(line.get("level", ""))
    headline, *rest = str(line.get("event", "")).split("\n")
    parts = [colored(clock or _clock(line.get("timestamp")), _DIM)]
    if has_process:
        parts.append(colored(f"{escape(str(line.get('process', ''))):<9}", _CYAN))
    parts.append(colored(f"{escape(level):<8}", _LEVEL_COLORS.get(level, "")))
    parts.append(colored(escape(_shorten(headline, _MAX_EVENT)), _BOLD))
    listed = dict(line)
    if isinstance(function := listed.get("function"), str):
        parts.append(_value(listed.pop("function")) if function else "function=")
    for name in ("invocation_id", "request_id"):
        if isinstance(identifier := listed.get(name), str) and identifier:
            parts.append(colored(_value(short_id(listed.pop(name))), _CYAN))
            break
    parts.extend(
        f"{colored(_name(name), _DIM)}={_value(value)}"
        for name, value in listed.items()
        if name not in _NOT_LISTED
    )
    blocks = ["  ".join(parts).rstrip()]
    blocks.extend(_block("\n".join(rest)))
    blocks.extend(_block(line.get("stack")))
    blocks.extend(_block(line.get("exception")))
    return "\n".join(blocks)


def escape(text: str) -> str:
    """Return `text` with everything that is not plainly printable written as an escape."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def short_id(identifier: str) -> str:
    """Return enough of an id to tell it from the others in sight, and to search for it."""
    is_time_ordered = len(identifier) == _UUID_LENGTH and identifier[14] == "7"
    # The first 8 digits of a UUIDv7 (RFC 9562, section 5.7) are its minute.
    return identifier[: _SHORT_TIME_ORDERED_ID if is_time_ordered else _SHORT_ID]


def _clock(timestamp: object) -> str:
    if not isinstance(timestamp, str):
        return _NO_CLOCK
    if len(timestamp) == _TIMESTAMP_LENGTH and timestamp.endswith("Z"):
        return _local_minute(timestamp[:16]) + escape(timestamp[16:23])
    try:
        moment = datetime.fromisoformat(timestamp).astimezone()
    except (ValueError, OverflowError):
        return _NO_CLOCK
    return f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"


@lru_cache(maxsize=256)
def _local_minute(minute: str) -> str:
    """Return HH:MM in local time. Time zones differ by whole minutes."""
    try:
        return f"{datetime.fromisoformat(minute).replace(tzinfo=UTC).astimezone():%H:%M}"
    except (ValueError, OverflowError):
        return _NO_CLOCK[:5]


def _value(value: object) -> str:
    if isinstance(value, str):
        return _quote(_shorten(value, _MAX_VALUE))
    return escape(_shorten(msgspec.json.encode(value).decode(), _MAX_VALUE))


def _name(name: str) -> str:
    is_plain = name.isascii() and name.isidentifier() and len(name) <= _MAX_VALUE
    return name if is_plain else _quote(_shorten(name, _MAX_VALUE))


def _quote(text: str) -> str:
    """Quote what would otherwise read as several words or as another key=value."""
    if text and text.isprintable() and not (" " in text or '"' in text or "=" in text):
        return text
    escaped = escape(text.replace("\\", "\\\\").replace('"', '\\"'))
    return f'"{escaped}"'


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def _block(text: object) -> list[str]:
    """Return the lines of a text under a headline; long ones lose their middle."""
    if not isinstance(text, str) or not text:
        return []
    lines = text.rstrip("\n").split("\n")
    if len(lines) > _MAX_BLOCK_LINE_COUNT:
        half = _MAX_BLOCK_LINE_COUNT // 2
        lines = [*lines[:half], f"... {len(lines) - 2 * half} lines ...", *lines[-half:]]
    return [_BLOCK_INDENT + escape(_shorten(line, _MAX_BLOCK_LINE)) for line in lines]
