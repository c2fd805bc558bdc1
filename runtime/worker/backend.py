"""Celery's result backend, writing records.

Celery calls it with the outcome of every task, in the pool process that ran it or, when that was
killed, in the parent. For a function, record, Celery result and news of both are one step of the
store; any other task (a chord's callback, say) takes Celery's own way.
"""

from typing import Any

import structlog
from billiard.exceptions import TimeLimitExceeded
from celery import states
from celery.backends.redis import RedisBackend

from runtime import json_text
from runtime.invocation import Status, between_ms
from runtime.outcome import FunctionError
from runtime.store import steps
from runtime.store.steps import Finished
from runtime.worker.names import name_of
from runtime.worker.task import FunctionTask

_log = structlog.get_logger("worker")

_STATUSES = {
    states.SUCCESS: Status.SUCCEEDED,
    states.FAILURE: Status.FAILED,
    states.REVOKED: Status.CANCELLED,
}


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
        """Store the outcome of a function even if the producer does not want its result."""
        self._keep(request, kwargs)
        super().mark_as_failure(task_id, exc, traceback, request, **kwargs)

    def _keep(self, request: Any, options: dict[str, Any]) -> None:
        if isinstance(self._task_of(request), FunctionTask):
            request.ignore_result = False
            options["store_result"] = True

    def _task_of(self, request: Any) -> Any:
        return self.app.tasks.get(getattr(request, "task", None) or "")

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
        task = self._task_of(request)
        if state not in _STATUSES or not isinstance(task, FunctionTask):
            return super()._store_result(task_id, result, state, traceback, request, **kwargs)
        meta = self._get_result_meta(
            result=result, state=state, traceback=traceback, request=request
        )
        meta["task_id"] = task_id
        status = _STATUSES[state]
        error = None if status is Status.SUCCEEDED else request.function_error
        finished = self.app.eyas_store.insist(
            steps.finish(
                task_id,
                function=task.name,
                attempt=getattr(request, "attempt", None) or 0,
                status=status,
                celery_result=_bytes(self.encode(meta)),
                ttl_seconds=self.app.eyas_settings.result_ttl_seconds,
                result=_result(result, request) if error is None else None,
                error=None if error is None else json_text.encode(error.to_json()),
            )
        )
        _log_attempt(
            finished,
            invocation_id=task_id,
            function=task.name,
            status=status,
            error=error,
            traceback=getattr(request, "traceback_text", None) or traceback,
        )
        return result


def _result(result: Any, request: Any) -> bytes:
    text = getattr(request, "result_text", None)
    return text if isinstance(text, bytes) else json_text.encode(result)


def _describe(exception: BaseException) -> FunctionError:
    message = str(exception)
    if isinstance(exception, TimeLimitExceeded):
        message = f"stopped after {exception.args[0] if exception.args else '?'} seconds"
    return FunctionError(type=name_of(exception) or type(exception).__name__, message=message)


def _bytes(text: Any) -> bytes:
    return text.encode() if isinstance(text, str) else bytes(text)


def _log_attempt(
    finished: Finished | None,
    *,
    invocation_id: str,
    function: str,
    status: Status,
    error: FunctionError | None,
    traceback: Any,
) -> None:
    if finished is None:
        # Celery also reports the lost process of an attempt that it has stopped itself.
        _log.debug(
            "attempt.stale",
            invocation_id=invocation_id,
            function=function,
            status=status,
            reason="a newer attempt has started, or the invocation is finished already",
        )
        return
    fields: dict[str, Any] = {
        "invocation_id": invocation_id,
        "function": function,
        "request_id": finished.request_id,
        "attempt": finished.attempt,
        "status": status,
        "queue_wait_ms": between_ms(finished.accepted_at_us, finished.started_at_us),
        "run_ms": between_ms(finished.started_at_us, finished.finished_at_us),
    }
    if error is None:
        _log.info("attempt.finished", **fields)
        return
    fields |= {"error_type": error.type, "error_message": error.message}
    if traceback:
        fields["exception"] = str(traceback)
    _log.error("attempt.finished", **fields)
