"""Output: JSON that is safe to show, and lines for a reader that may have seen enough."""

import contextlib
import json
import os
import re
import select
import sys
import time
from collections.abc import Iterator
from typing import Any

_LINE_CHARACTERS = 100
# Where JSON has a character below the blank, other than as an escape, it is between two tokens.
_BETWEEN_TOKENS = re.compile(r"[\x00-\x09\x0b-\x1f]")
# Every character that is not printable is among these, and a few that are.
_NOT_PLAIN = re.compile(r"[^ -~\n]")


def has_colors() -> bool:
    """Tell whether the output is a terminal whose user has nothing against colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def is_unread(*, within_seconds: float) -> bool:
    """Tell whether nobody reads our output any more, after waiting so long for that."""
    try:
        descriptor = sys.stdout.fileno()
    except OSError:  # not a real file
        time.sleep(within_seconds)
        return False
    poller = select.poll()
    poller.register(descriptor, 0)  # errors and hang-ups are reported unasked
    return bool(poller.poll(within_seconds * 1000))


@contextlib.contextmanager
def until_unread() -> Iterator[None]:
    """Take it for an end, and not for an error, when nobody reads our output any more."""
    try:
        yield
    except BrokenPipeError:
        # The reader, `head` perhaps, has seen enough. Python flushes stdout once more at its end,
        # and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return JSON, with everything that is not plainly printable written as an escape."""
    return visible_json(json.dumps(value, ensure_ascii=False, indent=indent))


def visible_json(text: str) -> str:
    """Return JSON text that says the same, and has no characters that are not plainly printable."""
    return _NOT_PLAIN.sub(_escaped, _BETWEEN_TOKENS.sub(" ", text))


def _escaped(found: re.Match[str]) -> str:
    # JSON escapes what is above U+FFFF as two surrogates.
    return found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1]


def pretty(value: Any) -> str:
    """Return JSON for people: on one line if that is short."""
    line = json_text(value)
    return line if len(line) <= _LINE_CHARACTERS else json_text(value, indent=2)


def print_line(text: str) -> None:
    """Print a line at once, whatever the encoding of the output can hold."""
    print_bytes(text.encode(sys.stdout.encoding or "utf-8", "backslashreplace"))


def print_bytes(line: bytes) -> None:
    """Print a line at once, as it is."""
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()
