"""What a handler prints, as log lines that carry its invocation's id."""

import io
from typing import Any


class LineLog(io.TextIOBase):
    """A text stream that logs each line written to it as `handler.output`."""

    def __init__(self, log: Any, *, stream: str) -> None:
        self._log = log
        self._stream = stream
        self._unfinished = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        *lines, self._unfinished = (self._unfinished + text).split("\n")
        for line in lines:
            if line:
                self._log.info("handler.output", stream=self._stream, text=line)
        return len(text)

    def end(self) -> None:
        """Log what is left of a line that was never ended."""
        if self._unfinished:
            self.write("\n")
