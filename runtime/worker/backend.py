"""Celery's result backend, writing records.

Celery calls it with the outcome of every task, in the pool process that ran it or, when that was
killed, in the parent. For a function, record, Celery result and news of both are one step of the
store; any other task (`celery.chunks`, say) takes Celery's own way.
"""

from datetime import UTC, datetime
from typing import Any

from billiard.exceptions import TimeLimitExceeded
from celery import states
from celery.backends.redis import RedisBackend
from celery.exceptions import TaskRevokedError

from runtime import json_text
from runtime.invocation import Status
from runtime.outcome import PAST_EXPIRES, FunctionError, stopped_after
from runtime.policy import DeadLetterReason, TryAgain
from runtime.store.claims import Claim
from runtime.worker.attempts import CancelledError
from runtime.worker.names import name_of
from runtime.worker.task import FunctionTask

_STATUSES = {
    states.SUCCESS: Status.SUCCEEDED,
    states.FAILURE: Status.FAILED,
    states.REVOKED: Status.CANCELLED,
}
# What Celery says of a message that is past the `expires` of its producer.
_REVOKED_AS_EXPIRED = "expired"


class RecordBackend(RedisBackend):  # type: ignore[misc]
    """`RedisBackend`, except that a function's outcome goes into its record as well."""

    def on_task_call(self, _producer: Any, _task_id: str) -> None:
        """Subscribe to nothing: a worker that calls tasks does not wait for them here.

        Celery would subscribe to the result of each, and never read what comes
        (https://github.com/celery/celery/issues/6963).
        """

    def mark_as_done(
        self,
        task_id: str,
        result: Any,
        request: Any = None,
        store_result: Any = True,  # noqa: FBT002  Celery passes it by position
        **kwargs: Any,
    ) -> None:
        """Store the outcome of a function even if the producer does not want its result."""
        options = {"store_result": store_result, **kwargs}
        self._keep(request, options)
        super().mark_as_done(task_id, result, request, **options)

    def mark_as_failure(
        self, task_id: str, exc: Any, traceback: Any = None, request: Any = None, **kwargs: Any
    ) -> None:
        """Store the outcome of a function even if the producer does not want its result.

        An attempt that Celery has stopped at its time limit is reported here first: unless the
        function's policy has it run again, that is its end.
        """
        if self._is_run_again(task_id, exc, request):
            return
        self._keep(request, kwargs)
        super().mark_as_failure(task_id, exc, traceback, request, **kwargs)

    def mark_as_retry(
        self, task_id: str, exc: Any, traceback: Any = None, request: Any = None, **kwargs: Any
    ) -> None:
        """Store nothing for a function: when it is to be retried, that is stored already."""
        if self._function_of(request) is None:
            super().mark_as_retry(task_id, exc, traceback, request, **kwargs)

    def mark_as_revoked(
        self, task_id: str, reason: str = "", request: Any = None, **kwargs: Any
    ) -> None:
        """Store the outcome of a function even if the producer does not want its result."""
        self._keep(request, kwargs)
        super().mark_as_revoked(task_id, reason, request, **kwargs)

    def tell_again(self, request: Any) -> None:
        """Tell a chord, a chain or errbacks of an outcome that was stored before.

        Whoever stored it may have died, or was not a worker, before they heard of it. Celery hears
        of each member of a chord once, however often it is told.
        """
        if not _has_followers(request):
            return
        meta = self.get_task_meta(request.id)
        match meta["status"]:
            case states.SUCCESS:
                self.on_chord_part_return(request, states.SUCCESS, meta["result"])
            case states.FAILURE:
                super().mark_as_failure(
                    request.id, meta["result"], request=request, store_result=False
                )
            case states.REVOKED:
                super().mark_as_revoked(request.id, "revoked", request=request, store_result=False)

    def retry_result(self, request: Any, error: BaseException) -> bytes:
        """Return what `AsyncResult` reads of a task that will be retried."""
        raised = error if isinstance(error, Exception) else RuntimeError(str(error))
        return self._celery_result(request, self.prepare_exception(raised), states.RETRY)

    def error_result(
        self, invocation_id: str, error: BaseException, *, traceback: str, is_retried: bool
    ) -> bytes:
        """Return what `AsyncResult` reads of an attempt that ended with an exception."""
        raised = error if isinstance(error, Exception) else RuntimeError(repr(error))
        meta = {
            "status": states.RETRY if is_retried else states.FAILURE,
            "result": self.prepare_exception(raised),
            "traceback": traceback or None,
            "children": [],
            "date_done": datetime.now(UTC).isoformat(),
            "task_id": invocation_id,
        }
        text = self.encode(meta)
        return text.encode() if isinstance(text, str) else bytes(text)

    def store_result(
        self,
        task_id: str,
        result: Any,
        state: str,
        traceback: Any = None,
        request: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Note what a raised exception says, before Celery reduces it to its own form."""
        if isinstance(result, BaseException) and request is not None:
            described = getattr(request, "function_error", None)
            if not isinstance(described, FunctionError):
                request.function_error = _describe(result)
            if isinstance(result, TaskRevokedError) and result.args == (_REVOKED_AS_EXPIRED,):
                request.dead_letter = DeadLetterReason.EXPIRED
                request.function_error = PAST_EXPIRES
        return super().store_result(task_id, result, state, traceback, request, **kwargs)

    def _store_result(
        self,
        task_id: str,
        result: Any,
        state: str,
        traceback: Any = None,
        request: Any = None,
        **kwargs: Any,
    ) -> Any:
        held = self._claim_of(request)
        if state not in _STATUSES or held is None:
            return super()._store_result(task_id, result, state, traceback, request, **kwargs)
        status = _STATUSES[state]
        error = None if status is Status.SUCCEEDED else request.function_error
        dead_letter = _dead_letter(request, status)
        task = self._function_of(request)
        task.attempts.finish(
            held,
            task_id,
            function=task.name,
            status=Status.EXPIRED if dead_letter is DeadLetterReason.EXPIRED else status,
            celery_result=self._celery_result(request, result, state, traceback),
            result=_result(result, request) if error is None else None,
            error=error,
            dead_letter=dead_letter,
            traceback=_text(getattr(request, "traceback_text", None) or traceback),
            keeps_claim=_has_followers(request),
        )
        return result

    def _celery_result(self, request: Any, result: Any, state: str, traceback: Any = None) -> bytes:
        meta = self._get_result_meta(
            result=result, state=state, traceback=traceback, request=request
        )
        meta["task_id"] = request.id
        text = self.encode(meta)
        return text.encode() if isinstance(text, str) else bytes(text)

    def _is_run_again(self, task_id: str, error: Any, request: Any) -> bool:
        """Tell whether an attempt that was stopped will be made again, after seeing to it."""
        held = self._claim_of(request)
        if held is None or not isinstance(error, TimeLimitExceeded):
            return False
        task = self._function_of(request)
        described = _describe(error)
        decision = task.attempts.decide_stopped(task_id, function=task.function)
        if not isinstance(decision, TryAgain):
            request.dead_letter = decision.reason
            return False
        try:
            task.attempts.retry(
                held,
                task_id,
                function=task.name,
                error=described,
                delay_seconds=decision.delay_seconds,
                celery_result=self.retry_result(request, error),
                traceback=None,
            )
        except CancelledError:
            self.mark_as_revoked(task_id, "cancelled", request=request)
        return True

    def _keep(self, request: Any, options: dict[str, Any]) -> None:
        if self._claim_of(request) is not None:
            request.ignore_result = False
            options["store_result"] = True

    def _claim_of(self, request: Any) -> Claim | None:
        task = self._function_of(request)
        return None if task is None else task.claim_of(request)

    def _function_of(self, request: Any) -> Any:
        task = self.app.tasks.get(getattr(request, "task", None) or "")
        return task if isinstance(task, FunctionTask) else None


def _has_followers(request: Any) -> bool:
    """Tell whether Celery does more with an outcome than to store it."""
    return any(getattr(request, name, None) for name in ("chord", "chain", "errbacks"))


def _dead_letter(request: Any, status: Status) -> DeadLetterReason | None:
    """Return why Celery gave a function up; None if there is nothing to run again."""
    noted = getattr(request, "dead_letter", None)
    if isinstance(noted, DeadLetterReason):
        return noted
    return DeadLetterReason.PERMANENT if status is Status.FAILED else None


def _result(result: Any, request: Any) -> bytes:
    text = getattr(request, "result_text", None)
    return text if isinstance(text, bytes) else json_text.encode(result)


def _describe(exception: BaseException) -> FunctionError:
    if isinstance(exception, TimeLimitExceeded):
        return stopped_after(exception.args[0] if exception.args else "?")
    return FunctionError(
        type=name_of(exception) or type(exception).__name__, message=str(exception)
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
