"""A terminal that is drawn on, and is as it was before when that ends, however it ends."""

import contextlib
import os
import select
import shutil
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator, Sequence
from types import FrameType

# https://invisible-island.net/xterm/ctlseqs/ctlseqs.html
_ENTER = "\x1b[?1049h\x1b[?25l"  # the alternate screen, without a cursor
_LEAVE = "\x1b[?25h\x1b[?1049l"
_HOME = "\x1b[H"
_REST_OF_LINE = "\x1b[K"
_REST_OF_SCREEN = "\x1b[J"
_BOLD, _RESET = "\x1b[1m", "\x1b[0m"
_MOST_KEYS = 1024


class Screen:
    """The terminal's alternate screen."""

    def size(self) -> tuple[int, int]:
        """Return how many columns and lines there are now."""
        return shutil.get_terminal_size()

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines, the first ones bold, and nothing else. They have to fit."""
        bold = "" if os.environ.get("NO_COLOR") else _BOLD
        drawn = (
            f"{bold}{line}{_RESET}" if bold and number == 0 else line
            for number, line in enumerate(lines)
        )
        # No line end after the last one: it would scroll a full screen.
        text = f"{_REST_OF_LINE}\n".join(drawn)
        _write(f"{_HOME}{text}{_REST_OF_LINE}{_REST_OF_SCREEN}")

    def keys(self, *, within_seconds: float) -> str:
        """Return the keys that were pressed, after waiting so long for one."""
        if not sys.stdin.isatty():
            time.sleep(within_seconds)
            return ""
        readable, _, _ = select.select([sys.stdin], [], [], within_seconds)
        return os.read(sys.stdin.fileno(), _MOST_KEYS).decode("latin-1") if readable else ""


@contextlib.contextmanager
def opened() -> Iterator[Screen]:
    """Draw on the terminal until the block ends: also by Ctrl-C, SIGTERM, or a closed terminal."""
    before = {number: signal.signal(number, _exit) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        with _keys_at_once():
            try:
                _write(_ENTER)
                yield Screen()
            finally:
                with contextlib.suppress(OSError):  # the terminal was closed
                    _write(_LEAVE)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _keys_at_once() -> Iterator[None]:
    """Give keys to us as they are pressed, and do not show them."""
    if not sys.stdin.isatty():
        yield
        return
    mode = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):  # the terminal was closed
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, mode)


def _exit(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _write(text: str) -> None:
    sys.stdout.buffer.write(text.encode(sys.stdout.encoding or "utf-8", "backslashreplace"))
    sys.stdout.buffer.flush()
