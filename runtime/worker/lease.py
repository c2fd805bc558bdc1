"""The worker's lease while it stops softly."""

import os
import signal
import threading
from collections.abc import Callable

import structlog

from runtime.errors import BrokerUnavailableError
from runtime.store import Store, claims

RENEWED_EVERY_SECONDS = claims.LEASE_SECONDS / 6

_log = structlog.get_logger("worker")


class LeaseKeeper(threading.Thread):
    """Does what `LeaseRenewal` does, until the process ends.

    Celery ends the consumer first, and waits for the attempts that run afterwards: without an event
    loop. The pool forks no more then, so a thread does no harm. What has not been started is given
    back at once, and not only when the longest attempt has ended. `pid_of` returns the pool process
    that runs an invocation.
    """

    def __init__(self, url: str, *, worker: str, pid_of: Callable[[str], int | None]) -> None:
        super().__init__(daemon=True, name="lease")
        self._store = Store(url, reply_seconds=1.0)
        self._worker = worker
        self._pid_of = pid_of
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(RENEWED_EVERY_SECONDS):
            try:
                renewed = self._store.run(claims.renew(self._worker, consumes=False))
                self._store.run(claims.requeue_unstarted(self._worker))
            except BrokerUnavailableError:
                continue  # it is tried again at once
            for invocation_id in renewed.to_stop:
                self._kill(invocation_id)

    def stop(self) -> None:
        """Renew no more; return when that is certain."""
        self._stopped.set()
        if self.is_alive():
            self.join()

    def _kill(self, invocation_id: str) -> None:
        """Kill what runs a cancelled invocation; it is given back, and found to be cancelled."""
        pid = self._pid_of(invocation_id)
        if pid is not None:
            _log.info("attempt.cancelled", invocation_id=invocation_id)
            os.kill(pid, signal.SIGKILL)
