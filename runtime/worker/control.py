"""Celery's remote control, where the broker knows what Celery's workers would remember.

Celery keeps revoked ids in the memory of the workers that hear the broadcast. Here the record says
so, whoever runs the message later (https://github.com/celery/celery/issues/8888). Scheduled tasks
wait in the broker.
"""

import time
from datetime import UTC, datetime
from typing import Any

from celery.worker import control
from celery.worker.control import Panel

from runtime import json_text, message
from runtime.outcome import CANCELLED_BY_CELERY
from runtime.store import lifecycle, upkeep
from runtime.store.claims import Ticket

# As long as Celery's workers remember one (`celery.worker.state.REVOKE_EXPIRES`).
_REMEMBERED_SECONDS = 10_800
_MOST_LISTED = 1000


def install() -> None:
    """Replace Celery's commands in this process."""
    Panel.register(
        name="revoke",
        type="control",
        variadic="task_id",
        signature="[id1 [id2 [... [idN]]]]",
    )(_revoke)
    Panel.register(name="scheduled", type="inspect", alias="dump_schedule")(_scheduled)
    Panel.register(name="active", type="inspect", alias="dump_active")(_active)
    Panel.register(name="reserved", type="inspect", alias="dump_reserved")(_reserved)
    Panel.register(
        name="query_task",
        type="inspect",
        variadic="ids",
        signature="[id1 [id2 [... [idN]]]]",
    )(_query_task)


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


def _active(state: Any, **options: Any) -> list[dict[str, Any]]:
    """List of tasks currently being executed."""
    dispatcher = state.app.eyas_dispatcher
    running = [
        _info(state, attempt.ticket, pid=executor.pid, began_at=attempt.began_at)
        for executor in dispatcher.executors
        for attempt in executor.handed.values()
    ]
    return [*control.active(state, **options), *running]


def _reserved(state: Any, **options: Any) -> list[dict[str, Any]]:
    """List of currently reserved tasks, not including scheduled/active."""
    waiting = [_info(state, ticket) for ticket in state.app.eyas_dispatcher.waiting]
    return [*control.reserved(state, **options), *waiting]


def _query_task(state: Any, ids: Any, **options: Any) -> dict[str, Any]:
    """Query for task information by id."""
    wanted = ids if isinstance(ids, list | tuple | set) else [ids]
    found = {
        one["id"]: (word, one)
        for word, listed in (("active", _active(state)), ("reserved", _reserved(state)))
        for one in listed
        if one["id"] in wanted
    }
    return found | dict(control.query_task(state, wanted, **options))


def _info(
    state: Any, ticket: Ticket, *, pid: int | None = None, began_at: float | None = None
) -> dict[str, Any]:
    """Describe an invocation of ours as Celery describes its requests."""
    return {
        "id": ticket.id,
        "name": ticket.function,
        "args": [],
        # Of what is not fresh, only the record has it until it is started.
        "kwargs": json_text.decode(ticket.payload or b"{}"),
        "type": ticket.function,
        "hostname": state.hostname,
        "time_start": None if began_at is None else time.time() - time.monotonic() + began_at,
        "acknowledged": False,
        "delivery_info": {
            "exchange": "",
            "routing_key": ticket.held.queue,
            "priority": 0,
            "redelivered": ticket.held.deliveries > 1,
        },
        "worker_pid": pid,
    }


def _revoke(state: Any, task_id: Any, **options: Any) -> Any:
    """Revoke task by task id (or list of ids)."""
    app = state.app
    ids = task_id if isinstance(task_id, list | tuple | set) else [task_id]
    for one in ids:
        app.eyas_store.insist(
            lifecycle.cancel(
                str(one),
                error=CANCELLED_BY_CELERY.encode(),
                celery_result=message.revoked_result(str(one), "revoked"),
                retention=app.eyas_settings.retention,
                # As in Celery, what runs goes on unless the program says `terminate=True`.
                stop_running=bool(options.get("terminate")),
                remember_unknown_seconds=_REMEMBERED_SECONDS,
            )
        )
    return control.revoke(state, task_id, **options)
