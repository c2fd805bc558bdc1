"""Finishing invocations that were claimed and are not run."""

from typing import Any

import structlog

from runtime import message
from runtime.function import Function
from runtime.invocation import Status
from runtime.outcome import (
    BARRED,
    CANCELLED_WAITING,
    FunctionError,
    killed_its_process,
    not_registered,
    older_than,
)
from runtime.policy import DeadLetterReason
from runtime.settings import Settings
from runtime.store.claims import Ticket
from runtime.store.lifecycle import Started, Verdict
from runtime.worker.judging import policy_of
from runtime.worker.settling import Settling

_log = structlog.get_logger("worker")


def refuse(
    settling: Settling,
    ticket: Ticket,
    function: Function[..., Any],
    started: Started,
    settings: Settings,
) -> None:
    """Finish what may not run, as `start` has judged; what is finished or elsewhere, is left."""
    match started.verdict:
        case Verdict.POISON:
            error = killed_its_process(settings.max_deliveries)
            raised = ("WorkerLostError", error.message)
            _fail(settling, ticket, error, raised=raised, reason=DeadLetterReason.POISON)
        case Verdict.BARRED:
            raised = ("TaskError", BARRED.message)
            reason = DeadLetterReason.ZERO_RESERVED_CONCURRENCY
            _fail(settling, ticket, BARRED, raised=raised, reason=reason)
        case Verdict.CANCELLED:
            refuse_cancelled(settling, ticket)
        case Verdict.EXPIRED:
            settling.refused(
                ticket,
                status=Status.EXPIRED,
                error=older_than(policy_of(function, started.policy).max_age_seconds),
                celery_result=message.revoked_result(ticket.id, "expired"),
                dead_letter=DeadLetterReason.EXPIRED,
            )
        case verdict:
            _log.info(
                "attempt.skipped",
                invocation_id=ticket.id,
                function=function.name,
                reason=verdict.value,
            )


def refuse_cancelled(settling: Settling, ticket: Ticket) -> None:
    """Finish what was cancelled before it ran."""
    settling.refused(
        ticket,
        status=Status.CANCELLED,
        error=CANCELLED_WAITING,
        celery_result=message.revoked_result(ticket.id, CANCELLED_WAITING.message),
        dead_letter=None,
    )


def refuse_unknown(settling: Settling, ticket: Ticket) -> None:
    """Finish what is for a function that this worker does not have."""
    error = not_registered(ticket.function)
    raised = ("NotRegistered", ticket.function)
    _fail(settling, ticket, error, raised=raised, reason=DeadLetterReason.PERMANENT)
    _log.error("message.unknown_function", invocation_id=ticket.id, function=ticket.function)


def _fail(
    settling: Settling,
    ticket: Ticket,
    error: FunctionError,
    *,
    raised: tuple[str, str],
    reason: DeadLetterReason,
) -> None:
    """Finish it as failed. `raised` is what Celery's result says: an exception's class and text."""
    error_type, error_message = raised
    settling.refused(
        ticket,
        status=Status.FAILED,
        error=error,
        celery_result=message.failed_result(
            ticket.id, state="FAILURE", error_type=error_type, error_message=error_message
        ),
        dead_letter=reason,
    )
