"""The console output of a process: readable lines beside the JSON ones of the file.

A line on the console costs ten times what it costs in the file: it is made readable, and goes
through a pipe to honcho, which prints it again. And nobody reads thousands of lines a second. So a
burst is shown whole, and a flood in part; the file has everything.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

from runtime.logs import forks
from runtime.logs.line import Line
from runtime.logs.render import render

_BURST_COUNT = 1_000
_COUNT_PER_SECOND = 100


class Console(forks.Forkable):
    """Writes rendered lines to `stream`, each call's at once and whole. Never raises.

    `path` is the file with all lines, for readers who miss some here.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        path: str,
        has_colors: bool,
        has_process: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._path = path
        self._has_colors = has_colors
        self._has_process = has_process
        self._clock = clock
        # Warnings and errors have an allowance of their own: a flood of requests hides none.
        routine, severe = _Allowance(clock()), _Allowance(clock())
        self._allowances = {
            "debug": routine,
            "info": routine,
            "warning": severe,
            "error": severe,
        }
        self._lock = threading.RLock()
        forks.register(self)

    def write(self, lines: Sequence[Line], *, in_file_count: int) -> None:
        """Write lines: as many as may be shown, and all that are not in the file.

        `in_file_count` is how many of them the file has, which are the first ones.
        """
        with self._lock:
            texts = self._texts(lines, in_file_count=in_file_count)
            if not texts:
                return
            try:
                self._write("".join(texts))
                # Nothing may stay in the buffer: a child forked now would write it once more.
                self._stream.flush()
            except (OSError, ValueError, RuntimeError):
                # The terminal or the pipe's reader is gone, the stream is closed, or a signal
                # handler logs in the middle of a write. The file has the line.
                pass

    def renew_in_child(self) -> None:
        """Take no lock of another thread into a forked child."""
        self._lock = threading.RLock()

    def _texts(self, lines: Sequence[Line], *, in_file_count: int) -> list[str]:
        now = self._clock()
        texts: list[str] = []
        # In a flood this is the hot path of whoever causes it: nobody will see any of these.
        if in_file_count == len(lines) and all(
            self._is_used_up(level, now) for level in {line.level for line in lines}
        ):
            return texts
        for number, line in enumerate(lines):
            allowance = self._allowances.get(line.level)
            if number >= in_file_count or allowance is None:  # a critical line
                texts.append(self._rendered(line.fields))
                continue
            left = allowance.take(now)
            if left >= 0:
                texts.append(self._rendered(line.fields))
            elif left == -1:
                texts.append(self._remark(line, event="console.limited"))
        return texts

    def _is_used_up(self, level: str, now: float) -> bool:
        allowance = self._allowances.get(level)
        return allowance is not None and allowance.is_used_up(now)

    def _remark(self, line: Line, *, event: str) -> str:
        fields = line.fields
        own = {"timestamp": fields.get("timestamp"), "process": fields.get("process")}
        return self._rendered({**own, "level": "info", "event": event, "see": self._path})

    def _rendered(self, fields: Mapping[str, Any]) -> str:
        return render(fields, has_colors=self._has_colors, has_process=self._has_process) + "\n"

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
        except UnicodeEncodeError as error:
            # A console that is not UTF-8, as with LANG=C.
            encoded = text.encode(error.encoding, "backslashreplace")
            self._stream.write(encoded.decode(error.encoding))


class _Allowance:
    """How many lines may be shown: a number per second, and what was saved up for bursts."""

    def __init__(self, now: float) -> None:
        self._left = _BURST_COUNT
        self._second = int(now)

    def take(self, now: float) -> int:
        """Count one line. Return how many more may be shown after it; -1 for the first too many.

        There is a first too many in each second, so that each can be remarked on.
        """
        if int(now) != self._second:
            saved = max(self._left, 0) + (int(now) - self._second) * _COUNT_PER_SECOND
            self._left = min(saved, _BURST_COUNT)
            self._second = int(now)
        self._left -= 1
        return self._left

    def is_used_up(self, now: float) -> bool:
        """Tell whether no line may be shown in this second any more, nor the remark on that."""
        return self._left < 0 and int(now) == self._second
