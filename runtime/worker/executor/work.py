"""One attempt in an executor: from a job to its outcome."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from runtime.attempt import check_size
from runtime.context import Context
from runtime.function import Function
from runtime.lambda_context import Calling
from runtime.policy import GiveUp
from runtime.worker.executor.job import Job, Outcome, Report
from runtime.worker.judging import describe, judge
from runtime.worker.progress import ProgressReports


class CeleryResult(Protocol):
    """Makes what `AsyncResult` reads of an exception; `is_retried` if it is run again."""

    def __call__(
        self, invocation_id: str, error: BaseException, *, traceback: str, is_retried: bool
    ) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What an executor needs to run attempts.

    `read_payload` reads one from a record, and `read_calling` what a caller of the Lambda API has
    said besides it.
    """

    functions: Mapping[str, Function[..., Any]]
    max_result_bytes: int
    celery_result: CeleryResult
    read_payload: Callable[[str], bytes]
    read_calling: Callable[[str], bytes | None]

    def payload_of(self, job: Job) -> bytes:
        return self.read_payload(job.id) if job.payload is None else job.payload

    def succeeded(self, job: Job, result: bytes, *, run_seconds: float) -> Outcome:
        """Return the outcome of a handler that returned. Raises `InvalidResultError`."""
        check_size(result, most_bytes=self.max_result_bytes)
        return Outcome(number=job.number, run_seconds=run_seconds, result=result)

    def failed(self, job: Job, error: BaseException, *, run_seconds: float) -> Outcome:
        """Return the outcome of a handler that raised, or should have returned something else."""
        failure = describe(error)
        decision = judge(
            self.functions[job.function],
            error,
            failures=job.failures + 1,
            age_seconds=job.age_seconds + run_seconds,
            policy=job.policy,
        )
        is_final = isinstance(decision, GiveUp)
        return Outcome(
            number=job.number,
            run_seconds=run_seconds,
            error=failure.error_text,
            celery_result=self.celery_result(
                job.id, error, traceback=failure.traceback, is_retried=not is_final
            ),
            traceback=failure.traceback,
            retry_seconds=None if isinstance(decision, GiveUp) else decision.delay_seconds,
            dead_letter=decision.reason if isinstance(decision, GiveUp) else None,
        )


def context_of(
    job: Job, function: Function[..., Any], send: Callable[[Report], None], work: Work
) -> Context | None:
    """Return what the handler is told, if it wants to know."""
    if function.payload.context_parameter is None:
        return None
    return Context(
        invocation_id=job.id,
        function_name=job.function,
        attempt=job.attempt,
        timeout_seconds=job.timeout_seconds,
        report_progress=ProgressReports(send=lambda report: send(Report(job.number, report))),
        calling=_Caller(invocation_id=job.id, read=work.read_calling),
    )


class Forked:
    """Ends children that a handler forked and let return.

    They must not take over the work of their parent. Asking for the pid each time would cost more
    than a small handler takes.
    """

    def __init__(self) -> None:
        self._is_child = False
        os.register_at_fork(after_in_child=self._note)

    def _note(self) -> None:
        self._is_child = True

    def end_child(self) -> None:
        """End this process if it is one."""
        if self._is_child:
            os._exit(0)


def bind_log(job: Job) -> None:
    """Put what the attempt is on every log line of this context."""
    structlog.contextvars.bind_contextvars(
        invocation_id=job.id,
        function=job.function,
        request_id=job.request_id,
        attempt=job.attempt,
    )


@dataclass(slots=True, kw_only=True)
class _Caller:
    """Reads from the record how it was called, once, and only if a handler asks."""

    invocation_id: str
    read: Callable[[str], bytes | None]
    known: Calling | None = None

    def __call__(self) -> Calling:
        if self.known is None:
            self.known = Calling.decode(self.read(self.invocation_id))
        return self.known
