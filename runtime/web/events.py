"""CloudEvents in requests, and what functions are given of them."""

from typing import Any

import msgspec

from runtime import cloudevents
from runtime.cloudevents import CloudEvent, Mode
from runtime.errors import (
    BatchTooLargeError,
    InvalidEventError,
    InvalidPayloadError,
    MalformedEventError,
    MalformedJSONError,
    PayloadProblem,
    PayloadTooLargeError,
)
from runtime.function import Function
from runtime.settings import Settings
from runtime.web.exchange import Request, read_body
from runtime.web.terms import EVENT_HEADERS, Terms

TRIGGER = "event"
# An event is the same whatever it says: its source and id decide.
_DIGEST = "-"


def mode_of(req: Request) -> Mode | None:
    """Return how a request carries events, or None. Raises `UnknownEventFormatError`."""
    return cloudevents.mode_of(req.content_type or "", has_specversion=req.asks_for(EVENT_HEADERS))


async def read_event(req: Request, mode: Mode, *, limit_bytes: int) -> CloudEvent:
    """Return the event of a request that carries one.

    Raises `MalformedEventError`, `MalformedJSONError`, `PayloadTooLargeError`.
    """
    body = await read_body(req, limit_bytes=limit_bytes)
    if mode is Mode.BINARY:
        return cloudevents.from_headers(req.scope["headers"], body)
    return cloudevents.from_json(body)


async def read_batch(req: Request, settings: Settings) -> list[CloudEvent]:
    """Return the events of a request in batched mode.

    Raises what `read_event` raises, and `BatchTooLargeError`.
    """
    body = await read_body(req, limit_bytes=settings.max_batch_bytes)
    members = cloudevents.members_of_batch(body)
    if len(members) > settings.max_batch:
        raise BatchTooLargeError(len(members), limit=settings.max_batch)
    events = []
    for index, member in enumerate(members):
        if len(member) > settings.max_payload_bytes:
            raise PayloadTooLargeError(settings.max_payload_bytes, index=index)
        try:
            events.append(cloudevents.from_json(member))
        except (MalformedEventError, MalformedJSONError) as error:
            raise MalformedEventError(error.reason, index=index) from None
    return events


def payload_of(event: CloudEvent, function: Function[..., Any]) -> bytes:
    """Return what a function is given of an event, not yet checked.

    An event handler gets the event in the JSON format, any other handler the members of its data.
    Raises `InvalidEventError` if the latter is no JSON.
    """
    if function.payload.event is not None:
        return event.to_json()
    if event.data_base64 is not None:
        problem = PayloadProblem(
            "/data_base64",
            "expected data in JSON, with the parameters of the function as members; "
            f"got {event.attributes.get('datacontenttype', 'data without a Content-Type')}",
        )
        raise InvalidEventError(function.name, [problem], event_id=event.id)
    return event.data or b"{}"


def misfit(
    error: InvalidPayloadError | MalformedJSONError, event: CloudEvent, function: Function[..., Any]
) -> InvalidEventError | MalformedEventError:
    """Return what is wrong with an event whose payload was refused."""
    if isinstance(error, MalformedJSONError):
        return MalformedEventError(f"the data of event {event.id!r}: {error.reason}")
    above = "" if function.payload.event is not None else "/data"
    problems = [PayloadProblem(above + p.pointer, p.detail) for p in error.problems]
    return InvalidEventError(function.name, problems, event_id=event.id)


def checked_payload(event: CloudEvent, function: Function[..., Any]) -> bytes:
    """`payload_of`, checked. Raises `InvalidEventError`, `MalformedEventError`."""
    payload = payload_of(event, function)
    try:
        function.payload.check(payload)
    except (InvalidPayloadError, MalformedJSONError) as error:
        raise misfit(error, event, function) from None
    return payload


def in_batch(
    error: InvalidEventError | MalformedEventError, *, index: int
) -> InvalidEventError | MalformedEventError:
    """Return the same error, about an event in a batch."""
    if isinstance(error, MalformedEventError):
        return MalformedEventError(error.reason, index=index)
    problems = [PayloadProblem(f"/{index}{p.pointer}", p.detail) for p in error.problems]
    return InvalidEventError(error.function, problems, event_id=error.event_id, index=index)


def terms_for(event: CloudEvent, terms: Terms) -> Terms:
    """Return the terms under which an event's invocation is asked for: only once."""
    return msgspec.structs.replace(
        terms, trigger=TRIGGER, idempotency_key=event.key, digest=_DIGEST
    )
