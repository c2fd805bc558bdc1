"""Where the lines of one process go: into its file and onto its console, one by one or by turns.

By turns: a process with an event loop gathers the lines of one turn of it, and writes them
together when the turn ends. A write costs several times what making a line costs, so this is what
makes logging cheap for who logs much. Only the thread of the loop gathers. What must not wait, an
error or a line of another thread, takes everything before it along.
"""

import atexit
import threading
import time
from collections.abc import Callable

from runtime.logs import forks
from runtime.logs.console import Console
from runtime.logs.line import Line
from runtime.logs.sink import FileSink

_URGENT = frozenset({"error", "critical"})
_MAX_LINE_COUNT = 256
_MAX_BYTES = 1 << 16
# A turn that lasts for so long may be that of a loop that has stopped: do not count on its end.
_MAX_TURN_SECONDS = 1.0

CallSoon = Callable[[Callable[[], None]], object]
"""`call_soon` of an event loop: asyncio's, uvloop's or kombu's."""


class Output(forks.Forkable):
    """Writes lines to `sink` and to `console`, in the order in which they come."""

    def __init__(
        self,
        sink: FileSink,
        console: Console | None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sink = sink
        self._console = console
        self._clock = clock
        # Lines that come together must not overfill a file that may be smaller than that.
        self._max_bytes = min(_MAX_BYTES, sink.max_bytes)
        self._call_soon: CallSoon | None = None
        self._loop_thread = 0
        # When lines that wait have waited for too long; 0 when nobody was asked to write them.
        self._turn_ends_at = 0.0
        self._pending: list[Line] = []
        self._pending_bytes = 0
        self._is_writing = False
        # Reentrant: a signal handler that logs may interrupt a log call of its own thread.
        self._lock = threading.RLock()
        forks.register(self)

    def write(self, line: Line) -> None:
        """Write a line, or let it wait for the end of the turn."""
        if self._call_soon is None:
            self._show([line], self._sink.write_all([line.data]))
            return
        line_bytes = len(line.data)
        if (
            threading.get_ident() == self._loop_thread
            and line.level not in _URGENT
            and len(self._pending) < _MAX_LINE_COUNT
            and self._pending_bytes + line_bytes <= self._max_bytes
            and (self._clock() < self._turn_ends_at or self._has_asked())
        ):
            # Without the lock, because whoever writes takes lines from the front of the list only.
            self._pending.append(line)
            self._pending_bytes += line_bytes
            return
        with self._lock:
            if self._pending_bytes + line_bytes > self._max_bytes:
                self._write_pending()
            self._pending.append(line)
            self._write_pending()

    def by_turns(self, call_soon: CallSoon) -> None:
        """Gather the lines of this thread from now on; `call_soon` calls when a turn ends."""
        self.at_once()
        self._loop_thread = threading.get_ident()
        self._call_soon = call_soon
        atexit.register(self.at_once)

    def at_once(self) -> None:
        """Write what waits, and from now on each line by itself."""
        with self._lock:
            self._call_soon = None
            self._turn_ends_at = 0.0
            self._write_pending()

    def flush(self) -> None:
        """Write what waits: a turn has ended."""
        with self._lock:
            self._turn_ends_at = 0.0
            self._write_pending()

    def close(self) -> None:
        """Write what waits, and close the file. A later `write` opens it again."""
        self.at_once()
        atexit.unregister(self.at_once)
        self._sink.close()

    def prepare_fork(self) -> None:
        """Write what waits, lest both processes have it."""
        self.flush()

    def renew_in_child(self) -> None:
        """Take no lock, no lines and no event loop of the parent into a forked child."""
        self._lock = threading.RLock()
        self._is_writing = False
        self._call_soon = None
        self._turn_ends_at = 0.0
        self._forget_pending(len(self._pending))

    def _has_asked(self) -> bool:
        """Ask the loop to write what waits when its turn ends. Tell whether it will."""
        if self._call_soon is None or self._turn_ends_at:
            return False
        self._turn_ends_at = self._clock() + _MAX_TURN_SECONDS
        try:
            self._call_soon(self.flush)
        except RuntimeError:  # the loop is closed
            self.at_once()
            return False
        return True

    def _write_pending(self) -> None:
        if self._is_writing:
            return  # a signal handler logs in the middle of the loop below, which goes on with it
        self._is_writing = True
        try:
            while lines := self._pending[:]:
                in_file_count = self._sink.write_all([line.data for line in lines])
                # Not earlier: a time limit is an exception that may arrive at any moment.
                self._forget_pending(len(lines))
                self._show(lines, in_file_count)
        finally:
            self._is_writing = False

    def _forget_pending(self, count: int) -> None:
        del self._pending[:count]
        self._pending_bytes = sum(len(line.data) for line in self._pending)

    def _show(self, lines: list[Line], in_file_count: int) -> None:
        if self._console is not None:
            self._console.write(lines, in_file_count=in_file_count)
