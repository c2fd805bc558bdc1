"""Errors as RFC 9457 problem details: `application/problem+json`."""

import http
from typing import Any

import falcon
import falcon.asgi
import msgspec

from runtime.errors import (
    BrokerUnavailableError,
    EyasError,
    InvalidPayloadError,
    MalformedJSONError,
    PayloadTooLargeError,
    UnknownFunctionError,
    UnknownInvocationError,
)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1


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
    req: falcon.asgi.Request,
    resp: falcon.asgi.Response,
    error: EyasError,
    _params: dict[str, Any],
) -> None:
    detail = str(error)
    match error:
        case UnknownFunctionError():
            answer(req, resp, 404, kind="unknown-function", title="Unknown function", detail=detail)
        case UnknownInvocationError():
            answer(
                req, resp, 404, kind="unknown-invocation", title="Unknown invocation", detail=detail
            )
        case MalformedJSONError():
            answer(
                req,
                resp,
                400,
                kind="malformed-json",
                title="The payload is not JSON",
                detail=detail,
                line=error.line,
                column=error.column,
            )
        case InvalidPayloadError():
            errors = [{"pointer": p.pointer, "detail": p.detail} for p in error.problems]
            answer(
                req,
                resp,
                422,
                kind="invalid-payload",
                title="The payload does not fit the function",
                detail=detail,
                errors=errors,
            )
        case PayloadTooLargeError():
            answer(
                req,
                resp,
                413,
                kind="payload-too-large",
                title="The payload is too large",
                detail=detail,
                limit_bytes=error.limit_bytes,
            )
        case BrokerUnavailableError():
            resp.set_header("Retry-After", str(RETRY_AFTER_SECONDS))
            answer(
                req,
                resp,
                503,
                kind="broker-unavailable",
                title="The broker is unavailable",
                detail=detail,
            )
        case _:
            raise error


def _serialize_http_error(
    req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError
) -> None:
    # Falcon hands its ASGI request and response to the serializer as well.
    detail = error.description
    if isinstance(error, falcon.HTTPRouteNotFound):
        detail = "nothing is served here; GET /functions lists the functions"
    answer(req, resp, error.status_code, detail=detail)  # type: ignore[arg-type]
