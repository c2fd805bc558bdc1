"""What a handler says of its progress, on its way to the record."""

import time
from dataclasses import dataclass, field
from typing import Any

import structlog

from runtime import json_text
from runtime.errors import BrokerUnavailableError
from runtime.store import Store, lifecycle
from runtime.store.claims import Claim

_log = structlog.get_logger("worker")

_SHORTEST_PAUSE_SECONDS = 0.1


@dataclass(slots=True, kw_only=True)
class ProgressReports:
    """Writes reports of one attempt, at most ten a second; the last of all (done = total) always.

    A handler never waits for a broker that is away: the report is dropped.
    """

    store: Store
    held: Claim
    invocation_id: str
    _written_at: float = field(default=float("-inf"), init=False)

    def __call__(self, report: dict[str, Any]) -> None:
        now = time.monotonic()
        is_last = report["done"] == report["total"]
        if now - self._written_at < _SHORTEST_PAUSE_SECONDS and not is_last:
            return
        self._written_at = now
        step = lifecycle.progress(self.held, self.invocation_id, report=json_text.encode(report))
        try:
            self.store.run(step)
        except BrokerUnavailableError as error:
            _log.debug("progress.dropped", reason=str(error))
