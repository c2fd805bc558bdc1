"""Celery's consumer, which one bad message must not take down."""

import pickle
from collections.abc import Callable
from typing import Any

import structlog
from celery.utils.log import get_logger
from celery.worker.consumer import Consumer as CeleryConsumer

_log = structlog.get_logger("worker")

# What Celery raises at messages whose parts are missing, of other types, or too deep to pass on.
# It would take some for a lost connection, and exit at the others; either way the message comes
# back, and nothing else on the queue is run.
_BAD_MESSAGE = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    RecursionError,
    pickle.PicklingError,
)


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """Drops a message that cannot be handled, and says so."""

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """Return what is called with each message."""
        handle = super().create_task_handler(*args, **kwargs)

        def handle_or_drop(message: Any) -> None:
            try:
                handle(message)
            except _BAD_MESSAGE as error:
                _log.error("message.dropped", error_type=type(error).__name__)
                message.reject_log_error(get_logger(__name__), self.connection_errors)

        return handle_or_drop
