"""A stock Celery application, set up so that nothing is lost as far as Celery's settings go."""

import os
from typing import Any

import celery

from tests.chaos.chaos_functions._noting import ENDED, STARTED, note

BROKER_VARIABLE = "STOCK_BROKER_URL"
VISIBILITY_TIMEOUT_SECONDS = 5

app = celery.Celery("stock", broker=os.environ.get(BROKER_VARIABLE))
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
        # A worker that is killed while it looks for lapsed messages leaves this lock: by default
        # they stay where they are for 300 s.
        "unacked_mutex_expire": VISIBILITY_TIMEOUT_SECONDS,
    },
)


@app.task(bind=True, name="fast")  # type: ignore[untyped-decorator]
def fast(self: Any, number: int) -> int:
    """Return at once, as the function of this name in the chaos suite does."""
    attempt = self.request.retries + 1
    note(STARTED, invocation_id=self.request.id, attempt=attempt)
    note(ENDED, invocation_id=self.request.id, attempt=attempt)
    return number + 1
