"""A function as a Celery task of the same name."""

import contextlib
import os
from typing import Any

import celery
import structlog
from celery.exceptions import Ignore, TaskPredicate
from structlog.contextvars import bound_contextvars

from runtime import json_text
from runtime.attempt import AttemptRunner, InvalidResultError
from runtime.context import Context
from runtime.errors import InvalidPayloadError
from runtime.function import Function
from runtime.invocation import Invocation
from runtime.outcome import FunctionError, traceback_text
from runtime.settings import Settings
from runtime.store import Store, steps
from runtime.worker.names import PoisonError, name_of
from runtime.worker.output import LineLog

_log = structlog.get_logger("worker")

MAX_ATTEMPTS_STARTED = 5
"""A message whose processes died this often is given up: running it again would kill the next."""


class _FinishedAlreadyError(Ignore):  # type: ignore[misc]
    """Tells Celery to acknowledge the message and do nothing else."""


# To Celery these mean something else than that a task failed; from a handler they mean just that.
# After a MemoryError the whole worker would exit.
_SIGNALS_TO_CELERY = (TaskPredicate, MemoryError)


class FunctionTask(celery.Task):  # type: ignore[misc]
    """Runs attempts of one function in a pool process.

    Celery decides what becomes of an attempt, in the pool process or, when that died, in its
    parent; either way it calls `RecordBackend`, which writes the record.
    """

    acks_late = True
    reject_on_worker_lost = True
    ignore_result = False
    typing = False  # payloads are checked against the function's signature instead

    def __init__(self, function: Function[..., Any], *, store: Store, settings: Settings) -> None:
        self.name = function.name
        self.time_limit = function.timeout_seconds
        self.function = function
        self._store = store
        self._settings = settings
        self._runner = AttemptRunner()

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Run one attempt; `args` and `kwargs` are what the message carries."""
        request = self.request
        pid = os.getpid()
        with bound_contextvars(
            invocation_id=request.id, function=self.name, request_id=request.get("request_id")
        ):
            try:
                return self._attempt(request, args, kwargs)
            except _FinishedAlreadyError:
                raise
            # Whatever a handler raises ends its attempt, SystemExit included.
            except BaseException as error:
                request.function_error = _describe(error)
                request.traceback_text = traceback_text(error)
                if isinstance(error, Exception) and not isinstance(error, _SIGNALS_TO_CELERY):
                    raise
                raise RuntimeError(f"{type(error).__name__}: {error}") from error
            finally:
                if os.getpid() != pid:
                    # A child that the handler forked and let return: it must not take over the
                    # work of its parent.
                    os._exit(0)

    def _attempt(self, request: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        problem = None
        try:
            payload = json_text.encode(self.function.payload.named(args, kwargs))
        except (InvalidPayloadError, json_text.NotJSONError) as error:
            problem, payload = error, json_text.encode({"args": repr(args), "kwargs": repr(kwargs)})
        started = self._store.insist(
            steps.start(
                Invocation(
                    id=request.id,
                    function=self.name,
                    payload=payload,
                    trigger="celery",
                    timeout_seconds=self.function.timeout_seconds,
                    request_id=request.get("request_id"),
                ),
                worker=request.hostname,
            )
        )
        if started.is_finished:
            _log.info("attempt.skipped", reason="the invocation is finished already")
            raise _FinishedAlreadyError
        request.attempt = started.attempt
        if problem is not None:
            raise problem
        if started.attempt > MAX_ATTEMPTS_STARTED:
            raise PoisonError(f"its process died in each of {MAX_ATTEMPTS_STARTED} attempts")
        context = Context(
            invocation_id=request.id,
            function_name=self.name,
            attempt=started.attempt,
            timeout_seconds=self.function.timeout_seconds,
        )
        _log.debug("attempt.started", attempt=started.attempt)
        with bound_contextvars(attempt=started.attempt), _printed_lines_logged():
            result = self._runner.run(self.function, started.payload, context)
        if len(result) > self._settings.max_result_bytes:
            raise InvalidResultError(
                f"the result has {len(result)} bytes; the limit is "
                f"{self._settings.max_result_bytes} (EYAS_MAX_RESULT_BYTES)"
            )
        request.result_text = result
        return json_text.decode(result)


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


def _describe(error: BaseException) -> FunctionError:
    described = FunctionError.from_exception(error)
    name = name_of(error)
    return FunctionError(type=name, message=described.message) if name else described
