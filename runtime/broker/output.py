"""Turns what the server prints into log records."""

import logging
import re
from datetime import UTC, datetime
from typing import NamedTuple

# 12345:M 22 Nov 2026 19:21:29.123 * Ready to accept connections tcp
_LINE = re.compile(
    r"(?P<pid>\d+):[A-Z] (?P<day>\d\d) (?P<month>[A-Z][a-z]{2}) (?P<year>\d{4}) "
    r"(?P<time>\d\d:\d\d:\d\d\.\d{3}) (?P<mark>[.*#-]) (?P<message>.*)"
)
# Not `strptime`'s %b, which reads month names in the language of the machine.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# The server's own levels: debug, verbose, notice, warning.
_LEVELS = {".": logging.DEBUG, "-": logging.DEBUG, "*": logging.INFO, "#": logging.WARNING}


class Line(NamedTuple):
    """One line of the server's output; what a line does not say is None.

    `pid` is the server's, or that of a child that rewrites the append-only file.
    """

    level: int
    message: str
    pid: int | None = None
    written_at: datetime | None = None


def parse_line(raw: bytes) -> Line:
    """Read one line; one that has another form (a crash report, say) becomes its own message."""
    text = raw.decode(errors="backslashreplace").strip()
    match = _LINE.fullmatch(text)
    if match is None:
        return Line(logging.INFO, text)
    return Line(_LEVELS[match["mark"]], match["message"], int(match["pid"]), _time(match))


def _time(match: re.Match[str]) -> datetime | None:
    """Read the time of a line; the server is run with `TZ=UTC`."""
    try:
        month = _MONTHS.index(match["month"]) + 1
        return datetime.fromisoformat(
            f"{match['year']}-{month:02}-{match['day']}T{match['time']}"
        ).replace(tzinfo=UTC)
    except ValueError:
        return None
