"""Every problem that is answered, each with a schema and an example."""

import http
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from runtime.errors import EyasError
from runtime.web import problems
from runtime.web.openapi.examples import problem_examples
from runtime.web.problems import MEDIA_TYPE, OF_ERRORS, Problem

_REFERENCE = "#/components/responses/"

BAD_REQUEST = Problem(400)
FORBIDDEN = Problem(403)
NOT_FOUND = Problem(404)
UNSUPPORTED_MEDIA_TYPE = Problem(415)

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
    examples = problem_examples()
    described = {
        _name(one): _schema(one, examples.get(one.type)) for one in (*problems.ALL, BAD_REQUEST)
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
