"""Every problem that is answered, each with a schema and an example."""

import http
from collections.abc import Iterable, Sequence
from itertools import groupby
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
from runtime.web.problems import MEDIA_TYPE, OF_ERRORS, Problem

_REFERENCE = "#/components/responses/"

BAD_REQUEST = Problem(400)
FORBIDDEN = Problem(403)
NOT_FOUND = Problem(404)
UNSUPPORTED_MEDIA_TYPE = Problem(415)

_ID = "ad38651d-4d15-4185-8b65-f7667560a407"
_INDEX = {"type": "integer", "minimum": 0, "description": "of a batch: which one, from 0"}
_POSITION = {"type": "integer", "minimum": 1}
_OUTCOME: dict[str, Any] = {
    "invocation_id": {"type": "string"},
    "function_status": {"$ref": "#/components/schemas/Status"},
    "error": {"$ref": "#/components/schemas/FunctionError"},
}
# Members besides those of every problem; those that are always there, and those that may be.
_ALWAYS: dict[str, dict[str, Any]] = {
    "malformed-json": {"line": _POSITION, "column": _POSITION},
    "payload-too-large": {"limit_bytes": {"type": "integer"}},
    "batch-too-large": {"limit": {"type": "integer"}},
    "invalid-payload": {
        "errors": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "pointer": {"type": "string", "description": "a JSON Pointer (RFC 6901)"},
                    "detail": {"type": "string"},
                },
                "required": ["pointer", "detail"],
            },
        }
    },
    "function-error": _OUTCOME,
    "function-timeout": _OUTCOME,
    "invocation-cancelled": _OUTCOME,
    "invocation-expired": _OUTCOME,
}
_SOMETIMES: dict[str, dict[str, Any]] = {
    "malformed-event": {"index": _INDEX},
    "invalid-payload": {
        "index": _INDEX,
        "event_id": {"type": "string", "description": "of an event: its id"},
        "function": {"type": "string", "description": "of an event: whom it does not fit"},
    },
}

_LINKS = {name: {"$ref": f"#/components/links/{name}"} for name in ("deadLetter", "redrive")}

# What the examples are made of, in the same way as the answers.
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
    (BAD_REQUEST, "limit: expected a whole number from 1 to 100", "/invocations"),
)


def of(error: type[EyasError]) -> Problem:
    """Return the problem that an error is answered with."""
    return OF_ERRORS[error]


def answers(found: Iterable[Problem]) -> dict[str, Any]:
    """Refer to the answers to what is refused, by status; 403 is for the pages of other sites."""
    return {
        str(group[0].status): {"$ref": _REFERENCE + _name_of_answer(group)}
        for group in _by_status({*found, problems.FOREIGN_SITE})
    }


def responses(groups: Iterable[Iterable[Problem]]) -> dict[str, Any]:
    """Return what `answers` refer to if given these, by the names among the components."""
    return {
        _name_of_answer(group): _answer(group)
        for found in groups
        for group in _by_status({*found, problems.FOREIGN_SITE})
    }


def schemas() -> dict[str, Any]:
    """Return the schemas that `answers` refer to, by their names among the components."""
    examples = _examples()
    described = {
        _name(one): _schema(one, examples.get(one.type)) for one in (*OF_ERRORS.values(), *_KINDS)
    }
    return {"Problem": _PROBLEM, **described}


def _by_status(found: Iterable[Problem]) -> list[tuple[Problem, ...]]:
    ordered = sorted(found, key=lambda one: (one.status, one.type))
    return [tuple(those) for _, those in groupby(ordered, key=lambda one: one.status)]


def _name_of_answer(group: Sequence[Problem]) -> str:
    return ".".join([str(group[0].status), *(one.kind or "blank" for one in group)])


def _answer(group: Sequence[Problem]) -> dict[str, Any]:
    titles = [one.title or http.HTTPStatus(one.status).phrase for one in group]
    references = [{"$ref": f"#/components/schemas/{_name(one)}"} for one in group]
    names = ["X-Request-Id"]
    if group[0].status in problems.TRY_AGAIN:
        names.append("Retry-After")
    contents = references[0] if len(references) == 1 else {"anyOf": references}
    return {
        "description": "; ".join(titles),
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        "content": {MEDIA_TYPE: {"schema": contents}},
        **(
            {"links": _LINKS}
            if any(_ALWAYS.get(one.kind or "") is _OUTCOME for one in group)
            else {}
        ),
    }


def _name(problem: Problem) -> str:
    return f"Problem.{problem.kind or 'blank'}"


def _schema(problem: Problem, example: dict[str, Any] | None) -> dict[str, Any]:
    kind = problem.kind or ""
    always, sometimes = _ALWAYS.get(kind, {}), _SOMETIMES.get(kind, {})
    status = {"status": {"const": problem.status}} if kind else {}
    return {
        "allOf": [{"$ref": "#/components/schemas/Problem"}],
        "type": "object",
        "properties": {"type": {"const": problem.type}, **status, **always, **sometimes},
        "required": ["type", *always],
        **({"examples": [example]} if example else {}),
    }


def _examples() -> dict[str, dict[str, Any]]:
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


_KINDS = (*(problem for problem, *_ in _OUTCOMES), *(problem for problem, *_ in _OTHERS))
_PROBLEM = {
    "description": "What is wrong (RFC 9457)",
    "type": "object",
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "a sentence for people"},
        "instance": {"type": "string", "description": "the path of the request"},
    },
    "required": ["type", "title", "status", "instance"],
}
