"""What a handler prints, as log lines that carry its invocation's id."""

import io
import sys
from contextvars import ContextVar
from typing import Any


class LineLog(io.TextIOBase):
    """A text stream that logs each line written to it as `handler.output`.

    What attempts write that run at the same time is not mixed: each has its own context.
    """

    encoding = "utf-8"

    def __init__(self, log: Any, *, stream: str) -> None:
        self._log = log
        self._stream = stream
        self._unfinished: ContextVar[list[str] | None] = ContextVar(f"unfinished_{stream}")

    def fileno(self) -> int:
        """Let programs that a handler starts write where this process does: to the console."""
        return (sys.__stderr__ if self._stream == "stderr" else sys.__stdout__).fileno()  # type: ignore[union-attr]

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        unfinished = self._unfinished.get(None)
        if "\n" not in text:
            if unfinished is None:
                self._unfinished.set([text])
            else:
                unfinished.append(text)
            return len(text)
        *lines, rest = ("".join(unfinished or ()) + text).split("\n")
        self._unfinished.set([rest] if rest else None)
        for line in lines:
            if line:
                self._log.info("handler.output", stream=self._stream, text=line)
        return len(text)

    def end(self) -> None:
        """Log what is left of a line that was never ended."""
        if self._unfinished.get(None):
            self.write("\n")


class Printed:
    """Standard output and standard error of a process that runs handlers."""

    def __init__(self, log: Any) -> None:
        self._out = LineLog(log, stream="stdout")
        self._err = LineLog(log, stream="stderr")

    def catch(self) -> None:
        """Take both over, which the handler before may have changed."""
        if sys.stdout is not self._out:
            sys.stdout = self._out
        if sys.stderr is not self._err:
            sys.stderr = self._err

    def end(self) -> None:
        """Log what is left of lines that were never ended."""
        self._out.end()
        self._err.end()
