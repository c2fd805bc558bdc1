"""What a handler prints, as log lines that carry its invocation's id."""

import io
import sys
from typing import Any


class LineLog(io.TextIOBase):
    """A text stream that logs each line written to it as `handler.output`."""

    encoding = "utf-8"

    def __init__(self, log: Any, *, stream: str) -> None:
        self._log = log
        self._stream = stream
        self._unfinished: list[str] = []

    def fileno(self) -> int:
        """Let programs that a handler starts write where this process does: to the console."""
        return (sys.__stderr__ if self._stream == "stderr" else sys.__stdout__).fileno()  # type: ignore[union-attr]

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        if "\n" not in text:
            self._unfinished.append(text)
            return len(text)
        *lines, rest = ("".join(self._unfinished) + text).split("\n")
        self._unfinished = [rest] if rest else []
        for line in lines:
            if line:
                self._log.info("handler.output", stream=self._stream, text=line)
        return len(text)

    def end(self) -> None:
        """Log what is left of a line that was never ended."""
        if self._unfinished:
            self.write("\n")
