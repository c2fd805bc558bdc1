"""Celery's consumer, which one bad message must not take down."""

import json
import pickle
from collections.abc import Callable
from typing import Any

import structlog
from celery.worker import state
from celery.worker.consumer import Consumer as CeleryConsumer

from runtime import logs
from runtime.errors import BrokerUnavailableError
from runtime.policy import DeadLetterReason
from runtime.store import claims
from runtime.store.claims import Claim

_log = structlog.get_logger("worker")

_PAUSE_SECONDS = 0.2

# What Celery raises at messages whose parts are of the wrong types in a way that nobody foresaw
# (`runtime.worker.envelope`). It would take some for a lost connection, and exit at the others.
_BAD_MESSAGE = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    RecursionError,
    pickle.PicklingError,
)


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """Quarantines a message that cannot be handled."""

    def ensure_connected(self, conn: Any) -> Any:
        """Connect as soon as the broker answers.

        Celery would try less and less often, up to every 30 seconds. Meanwhile the lease of what
        the pool processes go on running would lapse.
        """
        is_waiting = False
        while not self._has_renewed_lease():
            if not is_waiting:
                # No event loop runs until it is back.
                logs.write_at_once()
                _log.warning("worker.waiting", waiting_for="the broker")
            is_waiting = True
            state.maybe_shutdown()
            # What runs goes on meanwhile, up to its deadline.
            self.app.eyas_dispatcher.wait(_PAUSE_SECONDS)
        return super().ensure_connected(conn)

    def _has_renewed_lease(self) -> bool:
        try:
            self.app.eyas_store.run(claims.renew(self.app.eyas_worker, consumes=False))
        except BrokerUnavailableError:
            return False
        return True

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """Return what is called with each message."""
        handle = super().create_task_handler(*args, **kwargs)
        functions = self.app.eyas_admission.functions

        def handle_or_quarantine(message: Any) -> None:
            if message.headers["task"] in functions:
                # The record says whether it is cancelled. What Celery remembers may be over: a dead
                # letter that is redriven, say.
                state.revoked.discard(message.headers["id"])
            try:
                handle(message)
            except _BAD_MESSAGE as error:
                self.app.eyas_admission.quarantine(
                    Claim(worker=self.app.eyas_worker, tag=message.delivery_tag),
                    json.dumps(message._raw).encode(),  # noqa: SLF001
                    reason=DeadLetterReason.MALFORMED,
                    why=f"{type(error).__name__}: {error}",
                )
                message.ack()

        return handle_or_quarantine
