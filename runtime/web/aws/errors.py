"""Errors as AWS Lambda sends them: a header `x-amzn-ErrorType`, and a JSON object.

SDKs raise an exception of the type in the header. In the body, the member with the text is called
`Message` by some errors and `message` by the others; an SDK that is typed reads no other.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import falcon
import falcon.asgi
import msgspec

from runtime.errors import (
    BrokerUnavailableError,
    ExpiredInvocationError,
    EyasError,
    IdempotencyConflictError,
    MalformedJSONError,
    ThrottledError,
    UnknownInvocationError,
)
from runtime.web.exchange import Request

PATHS = re.compile(r"/20[0-9]{2}-[0-9]{2}-[0-9]{2}/")
"""How the paths of AWS's API begin, and no other: with the date of its version."""

_RETRY_AFTER = {"Retry-After": "1"}
_UNKNOWN = 404
_SERVER_ERROR = 500


class _Kind(NamedTuple):
    status: int
    message_member: str = "message"
    type: str | None = "User"


_KINDS = {
    "AccessDeniedException": _Kind(403, "Message"),
    "DurableExecutionAlreadyStartedException": _Kind(409, "Message"),
    "InvalidParameterValueException": _Kind(400),
    "InvalidRequestContentException": _Kind(400),
    "NotImplementedException": _Kind(501, "Message"),
    "RequestEntityTooLargeException": _Kind(413),
    "ResourceConflictException": _Kind(409),
    "ResourceNotFoundException": _Kind(404, "Message"),
    "SerializationException": _Kind(400, "Message"),
    "ServiceException": _Kind(500, "Message", "Service"),
    "TooManyRequestsException": _Kind(429),
    "UnknownOperationException": _Kind(404, "Message", None),
    "ValidationException": _Kind(400, "message", None),
}


class LambdaError(EyasError):
    """A request to the Lambda API is answered with an error; `code` is AWS's name for it."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int | None = None,
        members: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        kind = _KINDS[code]
        self.code = code
        self.status = status or kind.status
        self.headers = headers or {}
        self.body: dict[str, str] = dict(members or {})
        if kind.type is not None:
            self.body["Type"] = kind.type
        self.body[kind.message_member] = message


def failed_validation(value: str, member: str, constraint: str) -> LambdaError:
    """Say that one member of the request does not have the form that AWS's model asks for."""
    return LambdaError(
        "ValidationException",
        f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: "
        f"Member must {constraint}",
    )


def serves(path: str) -> bool:
    """Tell whether a path is one of AWS's API, so that its errors are AWS's as well."""
    return PATHS.match(path) is not None


def answer(req: Request, resp: falcon.asgi.Response, error: EyasError) -> None:
    """Answer with an error; one of the runtime's is translated."""
    raised = error if isinstance(error, LambdaError) else translated(error)
    req.refusal = raised.code
    resp.status = raised.status
    resp.set_headers(dict(raised.headers))
    resp.set_header("x-amzn-ErrorType", raised.code)
    if resp.get_header("x-amzn-RequestId") is None:
        resp.set_header("x-amzn-RequestId", req.request_id)
    resp.content_type = "application/json"
    resp.data = msgspec.json.encode(raised.body)


def answer_http_error(req: Request, resp: falcon.asgi.Response, error: falcon.HTTPError) -> None:
    """Answer with an error that falcon has raised."""
    text = error.description or error.title or ""
    if error.status_code >= _SERVER_ERROR:
        answer(req, resp, LambdaError("ServiceException", text, status=error.status_code))
    elif error.status_code == _UNKNOWN:
        answer(req, resp, LambdaError("UnknownOperationException", text))
    else:
        code = "InvalidRequestContentException"
        answer(req, resp, LambdaError(code, text, status=error.status_code))


def translated(error: EyasError) -> LambdaError:
    """Return what AWS would say instead of an error of the runtime."""
    match error:
        case MalformedJSONError():
            return LambdaError(
                "InvalidRequestContentException",
                "Could not parse request body into json: Could not parse payload into json: "
                f"{error}",
            )
        case ThrottledError():
            return throttled("ConcurrentInvocationLimitExceeded")
        case BrokerUnavailableError():
            # SDKs try again after a 503, and what they repeat is not run twice.
            return LambdaError("ServiceException", str(error), status=503, headers=_RETRY_AFTER)
        case IdempotencyConflictError():
            return LambdaError(
                "InvalidParameterValueException",
                "The amz-sdk-invocation-id of this request was used for another one before.",
            )
        case ExpiredInvocationError() | UnknownInvocationError():
            return LambdaError("ResourceConflictException", str(error))
        case _:
            return LambdaError("ServiceException", str(error))


def throttled(reason: str) -> LambdaError:
    """Say that a limit is reached; SDKs try it again. `reason` is AWS's name for the limit."""
    return LambdaError(
        "TooManyRequestsException",
        "Rate Exceeded.",
        members={"Reason": reason},
        headers=_RETRY_AFTER,
    )


def of_guard(detail: str) -> LambdaError:
    """Say that a browser sent it for another site, or that it is for another host."""
    return LambdaError("AccessDeniedException", detail)


def not_implemented(what: str, *, hint: str = "") -> LambdaError:
    """Say that an operation, or a part of one, is none of ours. SDKs do not try it again."""
    advice = f" {hint}" if hint else ""
    return LambdaError("NotImplementedException", f"Eyas does not implement {what}.{advice}")
