"""The worker's lease while its event loop does not go round."""

import threading
from collections.abc import Callable, Iterable

from runtime.errors import BrokerUnavailableError
from runtime.store import Store, claims

RENEWED_EVERY_SECONDS = claims.LEASE_SECONDS / 6


class LeaseKeeper(threading.Thread):
    """Does what `LeaseRenewal` does, until it is stopped; nothing may be forked meanwhile.

    At a stop, Celery ends the consumer first, and waits for the attempts that run afterwards:
    without an event loop. What has not been started is given back at once, and not only when the
    longest attempt has ended: `kept` returns the tags of what executors run. With None the worker
    goes on later, and keeps everything. `stop` is told what was cancelled.
    """

    def __init__(
        self,
        url: str,
        *,
        worker: str,
        kept: Callable[[], Iterable[str]] | None,
        stop: Callable[[str], None],
    ) -> None:
        super().__init__(daemon=True, name="lease")
        self._store = Store(url, reply_seconds=1.0)
        self._worker = worker
        self._kept = kept
        self._stop_one = stop
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(RENEWED_EVERY_SECONDS):
            try:
                renewed = self._store.run(claims.renew(self._worker, consumes=self._kept is None))
                if self._kept is not None:
                    self._store.run(claims.requeue_unstarted(self._worker, kept=self._kept()))
            except BrokerUnavailableError:
                continue  # it is tried again at once
            for invocation_id in renewed.to_stop:
                self._stop_one(invocation_id)
        self._store.close()

    def stop(self) -> None:
        """Renew no more; return when that is certain."""
        self._stopped.set()
        if self.is_alive():
            self.join()
