"""Telling Celery's world of attempts that Celery has not made: Flower's events, and statistics."""

import time
from typing import Any

from celery.worker import state

from runtime import json_text
from runtime.invocation import Status
from runtime.worker.executor.job import Outcome
from runtime.worker.settling import Attempt

# Flower shows tasks to people, and takes longer over each than we do to run a small one.
_MOST_TOLD = 100
_WITHIN_SECONDS = 0.25
_SHOWN_CHARACTERS = 200
_ENDS = {Status.FAILED: "task-failed", Status.RETRYING: "task-retried"}


class CeleryAudience:
    """Sends events of up to 400 attempts a second, of each all or none."""

    def __init__(self) -> None:
        self._events: Any = None
        self._told = 0
        self._counted_since = 0.0

    def connect(self, events: Any) -> None:
        """Send by Celery's event dispatcher from now on."""
        self._events = events

    def begun(self, attempt: Attempt) -> None:
        if self._is_to_be_told(attempt):
            self._tell_begun(attempt)

    def ended(self, attempt: Attempt, status: Status, outcome: Outcome) -> None:
        name = attempt.function.name
        state.total_count[name] = state.total_count.get(name, 0) + 1
        state.all_total_count[0] += 1
        if not attempt.is_told:
            if not self._is_to_be_told(attempt):
                return
            self._tell_begun(attempt)
        uuid = attempt.ticket.id
        if status is Status.SUCCEEDED:
            result = (outcome.result or b"").decode()
            self._events.send(
                "task-succeeded", uuid=uuid, result=_short(result), runtime=outcome.run_seconds
            )
        elif status in {Status.CANCELLED, Status.EXPIRED}:
            is_expired = status is Status.EXPIRED
            self._events.send(
                "task-revoked",
                uuid=uuid,
                terminated=not is_expired,
                signum=None,
                expired=is_expired,
            )
        else:
            error = json_text.decode(outcome.error or b"{}")
            self._events.send(
                _ENDS[status],
                uuid=uuid,
                exception=f"{error.get('type', 'Timeout')}({_short(error.get('message', ''))!r})",
                traceback=outcome.traceback,
            )

    def _is_to_be_told(self, attempt: Attempt) -> bool:
        if self._events is None or not self._events.enabled or attempt.is_told:
            return False
        now = time.monotonic()
        if now - self._counted_since > _WITHIN_SECONDS:
            self._counted_since, self._told = now, 0
        self._told += 1
        return self._told <= _MOST_TOLD

    def _tell_begun(self, attempt: Attempt) -> None:
        attempt.is_told = True
        ticket = attempt.ticket
        self._events.send(
            "task-received",
            uuid=ticket.id,
            name=ticket.function,
            args="()",
            kwargs=_short(ticket.payload.decode()),
            root_id=ticket.id,
            parent_id=None,
            retries=ticket.failures,
            eta=None,
            expires=None,
        )
        self._events.send("task-started", uuid=ticket.id)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."
