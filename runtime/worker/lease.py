"""The worker's lease while it stops softly."""

import threading

from runtime.errors import BrokerUnavailableError
from runtime.store import Store, claims

RENEWED_EVERY_SECONDS = claims.LEASE_SECONDS / 6


class LeaseKeeper(threading.Thread):
    """Renews a worker's lease until the process ends.

    Celery ends the consumer first, and waits for the attempts that run afterwards: without an event
    loop, and so without `LeaseRenewal`. The pool forks no more then, so a thread does no harm.
    """

    def __init__(self, url: str, *, worker: str) -> None:
        super().__init__(daemon=True, name="lease")
        self._store = Store(url, reply_seconds=1.0)
        self._worker = worker
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(RENEWED_EVERY_SECONDS):
            try:
                self._store.run(claims.renew(self._worker, consumes=False))
            except BrokerUnavailableError:
                continue  # it is tried again at once

    def stop(self) -> None:
        """Renew no more; return when that is certain."""
        self._stopped.set()
        if self.is_alive():
            self.join()
