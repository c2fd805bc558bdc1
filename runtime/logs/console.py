"""The console output of a process: readable lines beside the JSON ones of the file."""

import threading
from collections.abc import Mapping
from typing import Any, TextIO

from runtime.logs import forks
from runtime.logs.render import render


class Console:
    """Writes rendered lines to `stream`, each at once and whole. Never raises."""

    def __init__(self, stream: TextIO, *, has_colors: bool, has_process: bool) -> None:
        self._stream = stream
        self._has_colors = has_colors
        self._has_process = has_process
        self._lock = threading.RLock()
        forks.register(self)

    def write(self, line: Mapping[str, Any]) -> None:
        """Write one line, given as its JSON object."""
        text = render(line, has_colors=self._has_colors, has_process=self._has_process) + "\n"
        with self._lock:
            try:
                self._write(text)
                # Nothing may stay in the buffer: a child forked now would write it once more.
                self._stream.flush()
            except (OSError, ValueError, RuntimeError):
                # The terminal or the pipe's reader is gone, the stream is closed, or a signal
                # handler logs in the middle of a write. The file has the line.
                pass

    def renew_in_child(self) -> None:
        """Take no lock of another thread into a forked child."""
        self._lock = threading.RLock()

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
        except UnicodeEncodeError as error:
            # A console that is not UTF-8, as with LANG=C.
            encoded = text.encode(error.encoding, "backslashreplace")
            self._stream.write(encoded.decode(error.encoding))
