"""A function as a Celery task of the same name."""

import contextlib
import os
import signal
from collections.abc import Mapping
from typing import Any

import celery
import structlog
from celery.exceptions import Ignore, TaskPredicate
from celery.exceptions import Retry as CeleryRetry
from structlog.contextvars import bound_contextvars

from runtime import json_text
from runtime.attempt import AttemptRunner, check_size
from runtime.chunks import Chunks
from runtime.context import Context
from runtime.function import Function
from runtime.invocation import new_id
from runtime.message import TRIGGER_HEADER
from runtime.outcome import (
    BARRED,
    CANCELLED_RUNNING,
    FunctionError,
    killed_its_process,
    older_than,
)
from runtime.policy import DeadLetterReason, GiveUp
from runtime.store import lifecycle
from runtime.store.claims import Claim
from runtime.store.lifecycle import Started, Verdict
from runtime.worker.attempts import Attempts, CancelledError
from runtime.worker.judging import describe, judge, policy_of
from runtime.worker.names import BarredError, PoisonError
from runtime.worker.output import LineLog
from runtime.worker.progress import ProgressReports

_log = structlog.get_logger("worker")


class _RunAgainError(CeleryRetry):  # type: ignore[misc]
    """Tells Celery that the invocation will be run again; that is stored already."""


class _NotRunError(Ignore):  # type: ignore[misc]
    """Tells Celery to acknowledge the message and do nothing else."""


# To Celery these mean something else than that a task failed; from a handler they mean just that.
# After a MemoryError the whole worker would exit.
_SIGNALS_TO_CELERY = (TaskPredicate, MemoryError)


class FunctionTask(celery.Task):  # type: ignore[misc]
    """Runs attempts of one function in a pool process.

    Celery decides how an attempt has ended, in the pool process or, when that died, in its parent;
    what then becomes of the invocation is written by `Attempts`.
    """

    acks_late = True
    reject_on_worker_lost = True
    ignore_result = False
    typing = False  # payloads are checked against the function's signature instead

    def __init__(self, function: Function[..., Any], *, worker: str, attempts: Attempts) -> None:
        self.name = function.name
        self.time_limit = function.timeout_seconds
        self.function = function
        self._worker = worker
        self.attempts = attempts
        self._runner = AttemptRunner()

    def claim_of(self, request: Any) -> Claim | None:
        """Return the claim under which a request runs; None if no message of ours is behind it."""
        properties = getattr(request, "properties", None) or {}
        tag = properties.get("delivery_tag")
        return Claim(worker=self._worker, tag=tag) if tag else None

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Run one attempt; `args` and `kwargs` are what the message carries."""
        request = self.request
        held = self.claim_of(request)
        if held is None:
            return self._run_inline(args, kwargs)
        _let_signals_kill()
        pid = os.getpid()
        with bound_contextvars(
            invocation_id=request.id, function=self.name, request_id=request.get("request_id")
        ):
            try:
                started = self._start(held, request)
                return self._attempt(held, request, started, args, kwargs)
            except (_NotRunError, _RunAgainError):
                raise
            # Whatever a handler raises ends its attempt, SystemExit included.
            except BaseException as error:
                self._describe(request, error)
                if isinstance(error, Exception) and not isinstance(error, _SIGNALS_TO_CELERY):
                    raise
                raise RuntimeError(f"{type(error).__name__}: {error}") from error
            finally:
                if os.getpid() != pid:
                    # A child that the handler forked and let return: it must not take over the
                    # work of its parent.
                    os._exit(0)

    def _run_inline(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the handler as a part of another task: of `celery.chunks`, say."""
        payload = json_text.encode(self.function.payload.named(args, kwargs))
        context = Context(
            invocation_id=self.request.id or new_id(),
            function_name=self.name,
            attempt=1,
            timeout_seconds=self.function.timeout_seconds,
        )
        return json_text.decode(
            self._runner.run(self.function, payload, context, chunks=self._chunks())
        )

    def _chunks(self) -> Chunks | None:
        """Return what takes the chunks, if there will be any: nobody reads them before the end."""
        if not self.function.yields:
            return None
        return Chunks(function=self.name, most_bytes=self.attempts.settings.max_result_bytes)

    def _start(self, held: Claim, request: Any) -> Started:
        started = self.attempts.store.insist(
            lifecycle.start(
                held,
                request.id,
                concurrency=self.function.concurrency,
                max_deliveries=self.attempts.settings.max_deliveries,
            )
        )
        match started.verdict:
            case Verdict.RUN:
                return started
            case Verdict.POISON:
                request.dead_letter = DeadLetterReason.POISON
                deaths = self.attempts.settings.max_deliveries
                raise PoisonError(killed_its_process(deaths).message)
            case Verdict.BARRED:
                request.dead_letter = DeadLetterReason.ZERO_RESERVED_CONCURRENCY
                raise BarredError(BARRED.message)
            case Verdict.CANCELLED:
                self._revoke(request, CANCELLED_RUNNING)
            case Verdict.EXPIRED:
                oldest = policy_of(self.function, started.policy).max_age_seconds
                request.dead_letter = DeadLetterReason.EXPIRED
                self._revoke(request, older_than(oldest))
            case verdict:
                _log.info("attempt.skipped", reason=verdict.value)
                if verdict is Verdict.FINISHED:
                    self.backend.tell_again(request)
        raise _NotRunError

    def _revoke(self, request: Any, error: FunctionError) -> None:
        """End an invocation that may not be run any more, and tell its chord, if it is in one."""
        request.function_error = error
        self.backend.mark_as_revoked(request.id, error.type.lower(), request=request)

    def _attempt(
        self,
        held: Claim,
        request: Any,
        started: Started,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        try:
            payload = started.payload
            if request.get(TRIGGER_HEADER) is None:
                # A Celery program wrote the message, and perhaps before there was this function.
                payload = json_text.encode(self.function.payload.named(args, kwargs))
            context = Context(
                invocation_id=request.id,
                function_name=self.name,
                attempt=started.attempt,
                timeout_seconds=self.function.timeout_seconds,
                report_progress=ProgressReports(
                    send=lambda report: self.attempts.progress(held, request.id, report)
                ),
            )
            _log.debug("attempt.started", attempt=started.attempt)
            with bound_contextvars(attempt=started.attempt), _printed_lines_logged():
                result = self._runner.run(self.function, payload, context, chunks=self._chunks())
            check_size(result, most_bytes=self.attempts.settings.max_result_bytes)
        except BaseException as error:
            self._retry_or_give_up(held, request, started, error)
            raise
        request.result_text = result
        return json_text.decode(result)

    def _retry_or_give_up(
        self, held: Claim, request: Any, started: Started, error: BaseException
    ) -> None:
        """Raise Celery's `Retry` if the invocation is to be run again, after seeing to it."""
        now_us = started.started_at_us + round(self._runner.run_seconds * 1_000_000)
        decision = judge(
            self.function,
            error,
            failures=started.failures + 1,
            age_seconds=(now_us - started.ages_since_us) / 1_000_000,
            policy=started.policy,
        )
        if isinstance(decision, GiveUp):
            request.dead_letter = decision.reason
            return
        described = self._describe(request, error)
        try:
            self.attempts.retry(
                held,
                request.id,
                function=self.name,
                error=described,
                delay_seconds=decision.delay_seconds,
                celery_result=self.backend.retry_result(request, error),
                traceback=request.traceback_text,
            )
        except CancelledError:
            self._revoke(request, CANCELLED_RUNNING)
            raise _NotRunError from None
        # Celery then tells Flower, and stores nothing (RecordBackend.mark_as_retry).
        raise _RunAgainError(
            str(described.message), exc=RuntimeError(str(described)), when=decision.delay_seconds
        ) from error

    def _describe(self, request: Any, error: BaseException) -> FunctionError:
        failure = describe(error)
        request.function_error = failure.error
        request.traceback_text = failure.traceback
        return failure.error


def register(
    app: celery.Celery,
    functions: Mapping[str, Function[..., Any]],
    *,
    worker: str,
    attempts: Attempts,
) -> list[str]:
    """Make tasks of these functions, and of no others; return the names that are none any more."""
    before = [name for name, task in app.tasks.items() if isinstance(task, FunctionTask)]
    for name in before:
        app.tasks.unregister(name)
    for function in functions.values():
        app.register_task(FunctionTask(function, worker=worker, attempts=attempts))
    return [name for name in before if name not in functions]


def _let_signals_kill() -> None:
    """Let SIGTERM and SIGQUIT end this process at once, so that its invocation is run again.

    billiard would raise `SystemExit` in the handler, and the handler would seem to have failed.
    """
    for number in (signal.SIGTERM, signal.SIGQUIT):
        if signal.getsignal(number) is not signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def _printed_lines_logged() -> Any:
    log = structlog.get_logger("handler")
    out, err = LineLog(log, stream="stdout"), LineLog(log, stream="stderr")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            yield
        finally:
            out.end()
            err.end()
