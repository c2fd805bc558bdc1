"""An example of each problem, made in the same way as the answers."""

from typing import Any

from runtime.errors import (
    BatchTooLargeError,
    BrokerUnavailableError,
    ConflictError,
    ExpiredInvocationError,
    EyasError,
    IdempotencyConflictError,
    InvalidPayloadError,
    MalformedEventError,
    MalformedJSONError,
    PayloadProblem,
    PayloadTooLargeError,
    ThrottledError,
    UnknownDeadLetterError,
    UnknownEventFormatError,
    UnknownFunctionError,
    UnknownInvocationError,
    UnknownScheduleError,
)
from runtime.outcome import FunctionError, older_than, stopped_after
from runtime.web import problems
from runtime.web.problems import OF_ERRORS, Problem

_ID = "ad38651d-4d15-4185-8b65-f7667560a407"

_ERRORS: tuple[tuple[EyasError, str], ...] = (
    (MalformedEventError("required, but missing: source, type"), "/events"),
    (MalformedJSONError("Input data was truncated", line=1, column=11), "/functions/fib"),
    (UnknownFunctionError("fibb", ["echo", "fib"]), "/functions/fibb"),
    (UnknownInvocationError(_ID), f"/invocations/{_ID}"),
    (UnknownDeadLetterError(_ID), f"/dead-letters/{_ID}"),
    (UnknownScheduleError("echo", ["collect"]), "/schedules/echo/run"),
    (
        ConflictError(f"invocation {_ID!r} is finished: it stays as it is"),
        f"/invocations/{_ID}",
    ),
    (ExpiredInvocationError(_ID), f"/invocations/{_ID}"),
    (PayloadTooLargeError(1_048_576), "/functions/fib"),
    (BatchTooLargeError(1001, limit=1000), "/functions/fib/batch"),
    (UnknownEventFormatError("application/cloudevents+xml"), "/events"),
    (
        InvalidPayloadError("fib", [PayloadProblem("/number", "Expected `int`, got `str`")]),
        "/functions/fib",
    ),
    (IdempotencyConflictError("order-7"), "/functions/fib"),
    (ThrottledError("100000 invocations may wait or run (EYAS_MAX_OPEN)"), "/functions/fib"),
    (BrokerUnavailableError("the broker does not answer"), "/functions/fib"),
)
_OUTCOMES: tuple[tuple[Problem, str, FunctionError], ...] = (
    (problems.FAILED, "failed", FunctionError(type="ValueError", message="without items")),
    (problems.STOPPED, "failed", stopped_after(300.0)),
    (problems.CANCELLED, "cancelled", FunctionError(type="Cancelled", message="while it ran")),
    (problems.EXPIRED, "expired", older_than(60.0)),
)
_OTHERS: tuple[tuple[Problem, str, str], ...] = (
    (problems.FOREIGN_SITE, "this server is not 'evil.example': see EYAS_ALLOWED_HOSTS", "/ping"),
    (problems.NOT_READY, "no worker is consuming", "/readyz"),
    (Problem(400), "limit: expected a whole number from 1 to 100", "/invocations"),
)


def problem_examples() -> dict[str, dict[str, Any]]:
    """Return an example of each problem, by its type."""
    found = {}
    for error, path in _ERRORS:
        problem = OF_ERRORS[type(error)]
        found[problem.type] = problems.body_of(
            problem, detail=str(error), instance=path, **problems.members_of(error)
        )
    for problem, status, failed in _OUTCOMES:
        found[problem.type] = problems.body_of(
            problem,
            detail=f"{failed.type}: {failed.message}",
            instance="/functions/order_total",
            invocation_id=_ID,
            function_status=status,
            error={"type": failed.type, "message": failed.message, "stack_trace": []},
        )
    for problem, detail, path in _OTHERS:
        found[problem.type] = problems.body_of(problem, detail=detail, instance=path)
    return found
