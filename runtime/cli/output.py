"""Output that goes on: to a terminal, a file, or a reader that may have seen enough."""

import contextlib
import os
import select
import sys
import time
from collections.abc import Iterator


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


def print_line(text: str) -> None:
    """Print a line at once, whatever the encoding of the output can hold."""
    print_bytes(text.encode(sys.stdout.encoding or "utf-8", "backslashreplace"))


def print_bytes(line: bytes) -> None:
    """Print a line at once, as it is."""
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()
