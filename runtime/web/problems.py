"""Errors as RFC 9457 problem details: `application/problem+json`."""

import http
from collections.abc import Mapping
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
TRY_AGAIN = frozenset({429, 503})


class Problem(NamedTuple):
    """A kind of problem: its status, the end of its `type`, and its title.

    Without a kind, the type is `about:blank` and the title that of the status (section 4.2.1).
    """

    status: int
    kind: str | None = None
    title: str | None = None

    @property
    def type(self) -> str:
        """The URI that tells it from other problems."""
        return f"urn:eyas:problem:{self.kind}" if self.kind else "about:blank"


FOREIGN_SITE = Problem(403, "foreign-site", "Not for this site")
NOT_READY = Problem(503, "not-ready", "Not ready")
FAILED = Problem(500, "function-error", "The function failed")
STOPPED = Problem(504, "function-timeout", "The function was stopped")
CANCELLED = Problem(500, "invocation-cancelled", "The invocation was cancelled")
EXPIRED = Problem(500, "invocation-expired", "The invocation became too old to run")

OF_ERRORS: Mapping[type[EyasError], Problem] = {
    MalformedEventError: Problem(400, "malformed-event", "Not a CloudEvent"),
    MalformedJSONError: Problem(400, "malformed-json", "The payload is not JSON"),
    UnknownFunctionError: Problem(404, "unknown-function", "Unknown function"),
    UnknownInvocationError: Problem(404, "unknown-invocation", "Unknown invocation"),
    UnknownDeadLetterError: Problem(404, "unknown-dead-letter", "Unknown dead letter"),
    UnknownScheduleError: Problem(404, "unknown-schedule", "Unknown schedule"),
    ConflictError: Problem(409, "invocation-finished", "The invocation is finished"),
    ExpiredInvocationError: Problem(410, "expired-invocation", "The record is not kept any more"),
    PayloadTooLargeError: Problem(413, "payload-too-large", "The payload is too large"),
    BatchTooLargeError: Problem(413, "batch-too-large", "The batch has too many payloads"),
    UnknownEventFormatError: Problem(415, "unknown-event-format", "Unknown event format"),
    InvalidEventError: Problem(422, "invalid-payload", "The event does not fit the function"),
    InvalidBatchError: Problem(422, "invalid-payload", "A payload does not fit the function"),
    InvalidPayloadError: Problem(422, "invalid-payload", "The payload does not fit the function"),
    IdempotencyConflictError: Problem(
        422, "idempotency-conflict", "The key was used with another payload"
    ),
    ThrottledError: Problem(429, "throttled", "Too many invocations wait or run"),
    BrokerUnavailableError: Problem(503, "broker-unavailable", "The broker is unavailable"),
}

ALL = (*OF_ERRORS.values(), FOREIGN_SITE, NOT_READY, FAILED, STOPPED, CANCELLED, EXPIRED)
"""All that have a type of their own."""


def answer(
    req: falcon.asgi.Request,
    resp: falcon.asgi.Response,
    problem: Problem,
    *,
    detail: str | None,
    **members: Any,
) -> None:
    """Make `resp` a problem."""
    resp.status = problem.status
    resp.content_type = MEDIA_TYPE
    if problem.status in TRY_AGAIN:
        resp.set_header("Retry-After", str(RETRY_AFTER_SECONDS))
    resp.data = msgspec.json.encode(body_of(problem, detail=detail, instance=req.path, **members))


def body_of(
    problem: Problem, *, detail: str | None, instance: str, **members: Any
) -> dict[str, Any]:
    """Return the JSON object that says what is wrong; `instance` is the path of the request."""
    body: dict[str, Any] = {
        "type": problem.type,
        "title": problem.title or http.HTTPStatus(problem.status).phrase,
        "status": problem.status,
    }
    if detail:
        body["detail"] = detail
    return body | {"instance": instance} | members


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
    problem = OF_ERRORS.get(type(error))
    if problem is None:
        raise error
    req.refusal = problem.kind or ""
    answer(req, resp, problem, detail=str(error), **members_of(error))


def members_of(error: EyasError) -> dict[str, Any]:
    """Return what a problem says of an error besides its text."""
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
    answer(asked, answered, Problem(error.status_code), detail=detail)
