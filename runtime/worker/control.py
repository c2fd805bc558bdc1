"""Celery's remote control, where the broker knows what Celery's workers would remember.

Celery keeps revoked ids in the memory of the workers that hear the broadcast. Here the record says
so, whoever runs the message later (https://github.com/celery/celery/issues/8888). Scheduled tasks
wait in the broker.
"""

from datetime import UTC, datetime
from typing import Any

from celery.worker import control
from celery.worker.control import Panel

from runtime import json_text, message
from runtime.outcome import FunctionError
from runtime.store import lifecycle, upkeep

# As long as Celery's workers remember one (`celery.worker.state.REVOKE_EXPIRES`).
_REMEMBERED_SECONDS = 10_800
_MOST_LISTED = 1000


def install() -> None:
    """Replace Celery's command in this process."""
    Panel.register(
        name="revoke",
        type="control",
        variadic="task_id",
        signature="[id1 [id2 [... [idN]]]]",
    )(_revoke)
    Panel.register(name="scheduled", type="inspect", alias="dump_schedule")(_scheduled)


def _scheduled(state: Any, **_: Any) -> list[dict[str, Any]]:
    """List of currently scheduled ETA/countdown tasks."""
    app = state.app
    # They wait in the broker, not in a worker: each worker answers for all of them.
    return [
        {
            "eta": datetime.fromtimestamp(one.due_at_us / 1_000_000, UTC).isoformat(),
            "priority": 6,
            "request": {"id": one.id, "name": one.function, "type": one.function},
        }
        for one in app.eyas_store.insist(upkeep.read_delayed(limit=_MOST_LISTED))
    ]


def _revoke(state: Any, task_id: Any, **options: Any) -> Any:
    """Revoke task by task id (or list of ids)."""
    app = state.app
    ids = task_id if isinstance(task_id, list | tuple | set) else [task_id]
    error = FunctionError(type="Cancelled", message="revoked by a Celery program")
    for one in ids:
        app.eyas_store.insist(
            lifecycle.cancel(
                str(one),
                error=json_text.encode(error.to_json()),
                celery_result=message.revoked_result(str(one), "revoked"),
                retention=app.eyas_settings.retention,
                # As in Celery, what runs goes on unless the program says `terminate=True`.
                stop_running=False,
                remember_unknown_seconds=_REMEMBERED_SECONDS,
            )
        )
    return control.revoke(state, task_id, **options)
