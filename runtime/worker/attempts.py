"""What comes of attempts: the record, Celery's result, and the one log line of each attempt.

In the pool process, or in its parent when that process was stopped.
"""

from dataclasses import dataclass
from typing import Any

import structlog

from runtime.errors import BrokerUnavailableError, EyasError
from runtime.function import Function
from runtime.invocation import Status
from runtime.moments import between_ms
from runtime.outcome import FunctionError
from runtime.policy import DeadLetterReason, GiveUp, TryAgain
from runtime.settings import Settings
from runtime.store import Store, lifecycle, records
from runtime.store.claims import Claim
from runtime.store.lifecycle import Ended, ToBeCancelled
from runtime.worker.judging import judge

_log = structlog.get_logger("worker")


class CancelledError(EyasError):
    """An invocation was cancelled while it ran, and is not to be run again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """Writes what comes of the attempts of functions."""

    store: Store
    settings: Settings

    def progress(self, held: Claim, invocation_id: str, report: bytes) -> None:
        """Put into the record how far an attempt is.

        A handler never waits for a broker that is away: the report is dropped.
        """
        try:
            self.store.run(lifecycle.progress(held, invocation_id, report=report))
        except BrokerUnavailableError as error:
            _log.debug("progress.dropped", reason=str(error))

    def decide_stopped(
        self, invocation_id: str, *, function: Function[..., Any]
    ) -> TryAgain | GiveUp:
        """Decide what becomes of an invocation whose attempt was stopped at its timeout."""
        run = self.store.insist(records.read_run(invocation_id))
        return judge(
            function,
            TimeoutError(),
            failures=run.failures + 1,
            age_seconds=run.age_us / 1_000_000,
            policy=run.policy,
        )

    def retry(
        self,
        held: Claim,
        invocation_id: str,
        *,
        function: str,
        error: FunctionError,
        delay_seconds: float,
        celery_result: bytes,
        traceback: str | None,
    ) -> None:
        """Let an invocation be run again after a pause.

        Raises `CancelledError` if it was cancelled meanwhile: then it is for the caller to end it.
        """
        ended = self.store.insist(
            lifecycle.retry(
                held,
                invocation_id,
                delay_seconds=delay_seconds,
                error=error.encode(),
                celery_result=celery_result,
                retention=self.settings.retention,
            )
        )
        if isinstance(ended, ToBeCancelled):
            raise CancelledError(invocation_id)
        log_end(
            ended,
            invocation_id=invocation_id,
            function=function,
            status=Status.RETRYING,
            error=error,
            traceback=traceback,
            retry_in_seconds=round(delay_seconds, 3),
        )

    def finish(
        self,
        held: Claim,
        invocation_id: str,
        *,
        function: str,
        status: Status,
        celery_result: bytes,
        result: bytes | None = None,
        error: FunctionError | None = None,
        dead_letter: DeadLetterReason | None = None,
        traceback: str | None = None,
        keeps_claim: bool = False,
    ) -> None:
        """Give an invocation a terminal status."""
        ended = self.store.insist(
            lifecycle.finish(
                held,
                invocation_id,
                status=status,
                celery_result=celery_result,
                retention=self.settings.retention,
                result=result,
                error=None if error is None else error.encode(),
                dead_letter=dead_letter,
                keeps_claim=keeps_claim,
            )
        )
        log_end(
            ended,
            invocation_id=invocation_id,
            function=function,
            status=status,
            error=error,
            traceback=traceback,
            dead_letter=dead_letter,
        )


def log_end(
    ended: Ended | None,
    *,
    invocation_id: str,
    function: str,
    status: Status,
    error: FunctionError | None,
    traceback: str | None,
    dead_letter: DeadLetterReason | None = None,
    retry_in_seconds: float | None = None,
    trace_id: str | None = None,
) -> None:
    """Write the one line of an attempt."""
    if ended is None:
        # Celery also reports the lost process of an attempt that it has stopped itself.
        _log.debug(
            "attempt.stale",
            invocation_id=invocation_id,
            function=function,
            status=status,
            reason="the message is in other hands, or the invocation is finished already",
        )
        return
    fields: dict[str, Any] = {
        "invocation_id": invocation_id,
        "function": function,
        "request_id": ended.request_id,
        "attempt": ended.attempt,
        "status": status,
        "queue_wait_ms": between_ms(ended.accepted_at_us, ended.started_at_us),
        "run_ms": between_ms(ended.started_at_us, ended.ended_at_us),
    }
    if retry_in_seconds is not None:
        fields["retry_in_seconds"] = retry_in_seconds
    if trace_id is not None:
        fields["trace_id"] = trace_id
    if dead_letter is not None:
        fields["dead_letter"] = dead_letter
    if error is None:
        _log.info("attempt.finished", **fields)
        return
    fields["error_type"] = error.type
    if not error.quotes_payload:
        fields["error_message"] = error.message
    if traceback and not error.quotes_payload:
        fields["exception"] = traceback
    (_log.warning if status is Status.RETRYING else _log.error)("attempt.finished", **fields)
