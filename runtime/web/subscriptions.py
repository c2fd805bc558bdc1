"""`POST /events`: CloudEvents, for the functions that are subscribed to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import falcon
import falcon.asgi
import structlog

from runtime.cloudevents import CloudEvent, Mode
from runtime.errors import InvalidEventError, MalformedEventError
from runtime.function import Function
from runtime.registry import Registry
from runtime.web import handshake
from runtime.web.events import (
    checked_payload,
    in_batch,
    mode_of,
    read_batch,
    read_event,
    terms_for,
)
from runtime.web.exchange import Request, reply
from runtime.web.invoking import Acceptance, Asked, Invoker
from runtime.web.terms import Terms, terms_of

_MOST_TYPES = 10
_log = structlog.get_logger("web")


class _Delivery(NamedTuple):
    """An event for one function; the payload is checked."""

    event: CloudEvent
    function: Function[..., Any]
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """`POST /events`: invoke every function that is subscribed, once for each event."""

    registry: Registry
    invoker: Invoker

    async def on_options(self, req: Request, resp: falcon.asgi.Response) -> None:
        handshake.answer_options(req, resp, methods="POST")

    async def on_post(self, req: Request, resp: falcon.asgi.Response) -> None:
        terms = _terms(req, self.invoker)
        mode = mode_of(req)
        if mode is None:
            raise MalformedEventError(
                "expected the headers ce-specversion, ce-id, ce-source and ce-type, or the "
                "Content-Type application/cloudevents+json or application/cloudevents-batch+json"
            )
        settings = self.invoker.settings
        if mode is Mode.BATCHED:
            events = await read_batch(req, settings)
        else:
            events = [await read_event(req, mode, limit_bytes=settings.max_payload_bytes)]
        subscribers = {
            one: self.registry.subscribers(one) for one in {event.type for event in events}
        }
        deliveries = _deliveries(
            [(event, subscribers[event.type]) for event in events], is_batch=mode is Mode.BATCHED
        )
        accepted = await _accept(deliveries, terms, invoker=self.invoker)
        req.noted = {"event_count": len(events), "invocation_count": len(accepted)}
        _log_unmatched(req, events, {name for name, those in subscribers.items() if not those})
        _tell_whether_replayed(resp, accepted)
        answer = [
            {"event_id": delivery.event.id, "function": delivery.function.name, "id": one.id}
            for delivery, one in zip(deliveries, accepted, strict=True)
        ]
        reply(resp, 202, {"invocations": answer})


async def invoke_for_batch(
    req: Request, resp: falcon.asgi.Response, function: Function[..., Any], *, invoker: Invoker
) -> None:
    """Invoke one function for each event of a batch, and answer with the ids in its order."""
    terms = _terms(req, invoker)
    events = await read_batch(req, invoker.settings)
    deliveries = _deliveries([(event, [function]) for event in events], is_batch=True)
    accepted = await _accept(deliveries, terms, invoker=invoker)
    req.noted = {
        "function": function.name,
        "event_count": len(events),
        "invocation_count": len(accepted),
    }
    _tell_whether_replayed(resp, accepted)
    reply(resp, 202, {"accepted": len(accepted), "ids": [one.id for one in accepted]})


def refuse_idempotency_key(terms: Terms) -> None:
    """Raise falcon's 400 if a request with events has an `Idempotency-Key` besides."""
    if terms.idempotency_key is not None:
        raise falcon.HTTPBadRequest(
            description="Idempotency-Key: not for events; their source and id say what is the same"
        )


def _terms(req: Request, invoker: Invoker) -> Terms:
    terms = terms_of(req, invoker.settings)
    refuse_idempotency_key(terms)
    return terms


def _deliveries(
    pairs: Sequence[tuple[CloudEvent, Sequence[Function[..., Any]]]], *, is_batch: bool
) -> list[_Delivery]:
    """Check every payload, before anything is enqueued."""
    deliveries = []
    for index, (event, functions) in enumerate(pairs):
        try:
            deliveries += [_Delivery(event, one, checked_payload(event, one)) for one in functions]
        except (InvalidEventError, MalformedEventError) as error:
            if not is_batch:
                raise
            raise in_batch(error, index=index) from None
    return deliveries


async def _accept(
    deliveries: Sequence[_Delivery], terms: Terms, *, invoker: Invoker
) -> list[Acceptance]:
    return await invoker.accept_each(
        [
            Asked(function=function, payload=payload, terms=terms_for(event, terms))
            for event, function, payload in deliveries
        ]
    )


def _tell_whether_replayed(resp: falcon.asgi.Response, accepted: Sequence[Acceptance]) -> None:
    if accepted and all(one.is_replayed for one in accepted):
        resp.set_header("Idempotent-Replayed", "true")


def _log_unmatched(req: Request, events: Sequence[CloudEvent], types: set[str]) -> None:
    if types:
        _log.info(
            "event.unmatched",
            event_types=sorted(types)[:_MOST_TYPES],
            event_count=sum(event.type in types for event in events),
            request_id=req.request_id,
        )
