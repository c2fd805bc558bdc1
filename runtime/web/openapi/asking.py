"""What all operations that ask for invocations have in common: their answers and refusals."""

from typing import Any

from runtime.errors import (
    BrokerUnavailableError,
    ExpiredInvocationError,
    IdempotencyConflictError,
    InvalidPayloadError,
    MalformedEventError,
    MalformedJSONError,
    PayloadTooLargeError,
    ThrottledError,
    UnknownEventFormatError,
    UnknownInvocationError,
)
from runtime.invocation import Status
from runtime.settings import Settings
from runtime.web import problems
from runtime.web.openapi import headers
from runtime.web.openapi.operation import answer, content, parameter, schema
from runtime.web.openapi.problem_details import BAD_REQUEST, UNSUPPORTED_MEDIA_TYPE, of
from runtime.web.openapi.schemas import TEXT, members

EVENT_TYPE = "application/cloudevents+json"
EVENT_BATCH_TYPE = "application/cloudevents-batch+json"

# A broker that is away is not the only one that refuses: it may be full, or hung.
BROKER = (of(BrokerUnavailableError),)
BODY = (BAD_REQUEST, of(MalformedJSONError), of(PayloadTooLargeError), UNSUPPORTED_MEDIA_TYPE)
PAYLOAD = (*BODY, of(InvalidPayloadError), of(ThrottledError), *BROKER)
EVENT = (of(MalformedEventError), of(UnknownEventFormatError))
RECORD = (of(UnknownInvocationError), of(ExpiredInvocationError), *BROKER)
# Of a repeated request, the first invocation may be gone.
WAITED = (
    BAD_REQUEST,
    of(IdempotencyConflictError),
    of(ThrottledError),
    problems.FAILED,
    problems.STOPPED,
    problems.CANCELLED,
    problems.EXPIRED,
    *RECORD,
)

ASKING = tuple(map(parameter, headers.ASKING))
ASKING_AND_WAITING = (*map(parameter, headers.WAITING), *ASKING)

_LINKS = ("record", "logs", "cancel", "replay")


def accepted() -> dict[str, Any]:
    """Describe 202 with an id."""
    return answer(
        "It is on the broker's disk, and not finished",
        content(schema("Accepted")),
        headers=("Location", "Preference-Applied", "Idempotent-Replayed"),
        links=_LINKS,
    )


def succeeded(result: dict[str, Any], *, function: dict[str, Any] = TEXT) -> dict[str, Any]:
    """Describe 200 with the result that was waited for."""
    shown = members(
        {
            "id": TEXT,
            "function": function,
            "status": {"const": Status.SUCCEEDED},
            "result": result,
        }
    )
    return answer(
        "It was waited for, and has succeeded",
        content(shown),
        headers=("Preference-Applied", "Idempotent-Replayed"),
    )


def event_bodies(settings: Settings) -> dict[str, Any]:
    """Return the bodies that carry events, in structured and in batched mode."""
    batch = {"type": "array", "items": schema("CloudEvent"), "maxItems": settings.max_batch}
    return {
        **content(schema("CloudEvent"), media_type=EVENT_TYPE),
        **content(batch, media_type=EVENT_BATCH_TYPE),
    }
