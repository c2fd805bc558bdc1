"""Errors as RFC 9457 problem details: `application/problem+json`."""

import http
from typing import Any, NamedTuple, cast

import falcon
import falcon.asgi
import msgspec

from runtime.errors import (
    BatchTooLargeError,
    BrokerUnavailableError,
    ConflictError,
    ExpiredInvocationError,
    EyasError,
    IdempotencyConflictError,
    InvalidBatchError,
    InvalidEventError,
    InvalidPayloadError,
    MalformedEventError,
    MalformedJSONError,
    PayloadTooLargeError,
    ThrottledError,
    UnknownDeadLetterError,
    UnknownEventFormatError,
    UnknownFunctionError,
    UnknownInvocationError,
    UnknownScheduleError,
)
from runtime.web.aws import errors as aws
from runtime.web.exchange import Request

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1
_TRY_AGAIN = frozenset({429, 503})


class _Problem(NamedTuple):
    status: int
    kind: str
    title: str


_PROBLEMS: dict[type[EyasError], _Problem] = {
    MalformedEventError: _Problem(400, "malformed-event", "Not a CloudEvent"),
    MalformedJSONError: _Problem(400, "malformed-json", "The payload is not JSON"),
    UnknownFunctionError: _Problem(404, "unknown-function", "Unknown function"),
    UnknownInvocationError: _Problem(404, "unknown-invocation", "Unknown invocation"),
    UnknownDeadLetterError: _Problem(404, "unknown-dead-letter", "Unknown dead letter"),
    UnknownScheduleError: _Problem(404, "unknown-schedule", "Unknown schedule"),
    ConflictError: _Problem(409, "invocation-finished", "The invocation is finished"),
    ExpiredInvocationError: _Problem(410, "expired-invocation", "The record is not kept any more"),
    PayloadTooLargeError: _Problem(413, "payload-too-large", "The payload is too large"),
    BatchTooLargeError: _Problem(413, "batch-too-large", "The batch has too many payloads"),
    UnknownEventFormatError: _Problem(415, "unknown-event-format", "Unknown event format"),
    InvalidEventError: _Problem(422, "invalid-payload", "The event does not fit the function"),
    InvalidBatchError: _Problem(422, "invalid-payload", "A payload does not fit the function"),
    InvalidPayloadError: _Problem(422, "invalid-payload", "The payload does not fit the function"),
    IdempotencyConflictError: _Problem(
        422, "idempotency-conflict", "The key was used with another payload"
    ),
    ThrottledError: _Problem(429, "throttled", "Too many invocations wait or run"),
    BrokerUnavailableError: _Problem(503, "broker-unavailable", "The broker is unavailable"),
}


def answer(
    req: falcon.asgi.Request,
    resp: falcon.asgi.Response,
    status: int,
    *,
    detail: str | None,
    kind: str | None = None,
    title: str | None = None,
    **members: Any,
) -> None:
    """Make `resp` a problem. Without a `kind`, the type is `about:blank` (section 4.2.1)."""
    problem: dict[str, Any] = {
        "type": f"urn:eyas:problem:{kind}" if kind else "about:blank",
        "title": title or http.HTTPStatus(status).phrase,
        "status": status,
    }
    if detail:
        problem["detail"] = detail
    problem["instance"] = req.path
    resp.status = status
    resp.content_type = MEDIA_TYPE
    resp.data = msgspec.json.encode(problem | members)


def register(app: falcon.asgi.App[Any, Any]) -> None:
    """Make every error of `app` a problem."""
    app.set_error_serializer(_serialize_http_error)
    app.add_error_handler(EyasError, _answer_eyas_error)


async def _answer_eyas_error(
    req: Request,
    resp: falcon.asgi.Response,
    error: EyasError,
    _params: dict[str, Any],
) -> None:
    if aws.serves(req.path):
        aws.answer(req, resp, error)
        return
    problem = _PROBLEMS.get(type(error))
    if problem is None:
        raise error
    req.refusal = problem.kind
    if problem.status in _TRY_AGAIN:
        resp.set_header("Retry-After", str(RETRY_AFTER_SECONDS))
    answer(
        req,
        resp,
        problem.status,
        kind=problem.kind,
        title=problem.title,
        detail=str(error),
        **_members(error),
    )


def _members(error: EyasError) -> dict[str, Any]:
    match error:
        case MalformedJSONError():
            return {"line": error.line, "column": error.column}
        case InvalidPayloadError():
            errors = [{"pointer": p.pointer, "detail": p.detail} for p in error.problems]
            return {"errors": errors, **_place(error)}
        case MalformedEventError():
            return {} if error.index is None else {"index": error.index}
        case BatchTooLargeError():
            return {"limit": error.limit}
        case PayloadTooLargeError():
            return {"limit_bytes": error.limit_bytes}
        case _:
            return {}


def _place(error: InvalidPayloadError) -> dict[str, Any]:
    match error:
        case InvalidBatchError():
            return {"index": error.index}
        case InvalidEventError():
            index = {} if error.index is None else {"index": error.index}
            return {"event_id": error.event_id, "function": error.function, **index}
        case _:
            return {}


def _serialize_http_error(
    req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError
) -> None:
    # Falcon hands its ASGI request and response to the serializer as well.
    asked, answered = cast("Request", req), cast("falcon.asgi.Response", resp)
    if aws.serves(asked.path):
        aws.answer_http_error(asked, answered, error)
        return
    asked.refusal = http.HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    detail = error.description
    if isinstance(error, falcon.HTTPRouteNotFound):
        detail = "nothing is served here; GET /functions lists the functions"
    answer(asked, answered, error.status_code, detail=detail)
