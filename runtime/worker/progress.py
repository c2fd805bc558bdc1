"""What a handler says of its progress: not all of it is passed on."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from runtime import json_text

_SHORTEST_PAUSE_SECONDS = 0.1


@dataclass(slots=True, kw_only=True)
class ProgressReports:
    """Sends reports of one attempt as JSON text, at most ten a second.

    The last of all (done = total) is always sent.
    """

    send: Callable[[bytes], None]
    clock: Callable[[], float] = time.monotonic
    _sent_at: float = field(default=float("-inf"), init=False)

    def __call__(self, report: dict[str, Any]) -> None:
        now = self.clock()
        is_last = report["done"] == report["total"]
        if now - self._sent_at < _SHORTEST_PAUSE_SECONDS and not is_last:
            return
        self._sent_at = now
        self.send(json_text.encode(report))
