"""The answers to whoever asks for an invocation: its id, or its outcome."""

from typing import Any

import falcon.asgi
import msgspec

from runtime.cloudevents import CloudEvent, Mode
from runtime.errors import InvalidPayloadError, MalformedJSONError, PayloadTooLargeError
from runtime.function import Function
from runtime.invocation import Record, Status
from runtime.web import problems
from runtime.web.events import misfit, mode_of, payload_of, read_event, terms_for
from runtime.web.exchange import Request, note, payload_at_hand, read_payload, reply
from runtime.web.invoking import Acceptance, Invoker
from runtime.web.subscriptions import invoke_for_batch, refuse_idempotency_key
from runtime.web.terms import Patience, Terms, patience_of, terms_of

_UNSUCCESSFUL = {Status.CANCELLED: problems.CANCELLED, Status.EXPIRED: problems.EXPIRED}


async def invoke(
    req: Request,
    resp: falcon.asgi.Response,
    function: Function[..., Any],
    *,
    invoker: Invoker,
    replayed: Record | None = None,
) -> None:
    """Invoke a function as the request says, and answer with the id or, if waited for, the outcome.

    The body is the payload, unless the request carries CloudEvents. An empty body is the payload
    of the record to be replayed, if there is one.
    """
    terms = terms_of(req, invoker.settings, replay_of=replayed.id if replayed else None)
    patience = patience_of(req, invoker.settings)
    limit_bytes = (
        invoker.settings.max_payload_bytes
        if patience is None
        else invoker.settings.max_waited_payload_bytes
    )
    payload = None if terms.has_event else payload_at_hand(req, limit_bytes=limit_bytes)
    if payload is None:
        mode = mode_of(req) if replayed is None else None
        if mode is Mode.BATCHED:
            await invoke_for_batch(req, resp, function, invoker=invoker)
            return
        if mode is not None:
            refuse_idempotency_key(terms)
            event = await read_event(req, mode, limit_bytes=limit_bytes)
            await _invoke_for(
                event, req, resp, function, terms=terms, patience=patience, invoker=invoker
            )
            return
        payload = await read_payload(req, limit_bytes=limit_bytes)
    if replayed is not None and not payload:
        payload = replayed.payload
        if len(payload) > limit_bytes:
            raise PayloadTooLargeError(limit_bytes)
    acceptance = await invoker.accept(function, payload, terms=terms, patience=patience)
    answer_acceptance(req, resp, function, acceptance, terms=terms, patience=patience)


async def _invoke_for(
    event: CloudEvent,
    req: Request,
    resp: falcon.asgi.Response,
    function: Function[..., Any],
    *,
    terms: Terms,
    patience: Patience | None,
    invoker: Invoker,
) -> None:
    terms = terms_for(event, terms)
    payload = payload_of(event, function)
    try:
        acceptance = await invoker.accept(function, payload, terms=terms, patience=patience)
    except (InvalidPayloadError, MalformedJSONError) as error:
        raise misfit(error, event, function) from None
    answer_acceptance(req, resp, function, acceptance, terms=terms, patience=patience)


def answer_acceptance(
    req: Request,
    resp: falcon.asgi.Response,
    function: Function[..., Any],
    acceptance: Acceptance,
    *,
    terms: Terms,
    patience: Patience | None,
) -> None:
    """Answer with the outcome if it was waited for and is there, else with the id."""
    note(req, function=function.name, invocation_id=acceptance.id)
    if acceptance.is_replayed:
        resp.set_header("Idempotent-Replayed", "true")
    if patience is not None:
        resp.set_header("Preference-Applied", f"wait={patience.seconds}")
        if acceptance.record is not None and acceptance.record.is_terminal:
            _answer_outcome(req, resp, acceptance.record)
            return
    answer_accepted(
        resp,
        invocation_id=acceptance.id,
        function=function.name,
        status=acceptance.status,
        replay_of=terms.replay_of,
    )


def answer_accepted(
    resp: falcon.asgi.Response,
    *,
    invocation_id: str,
    function: str,
    status: Status,
    replay_of: str | None = None,
) -> None:
    """Answer 202: what was asked for is stored, and will be done."""
    shown: dict[str, Any] = {"id": invocation_id, "function": function, "status": status}
    if replay_of is not None:
        shown["replay_of"] = replay_of
    reply(resp, 202, shown, location=f"/invocations/{invocation_id}")


def _answer_outcome(req: Request, resp: falcon.asgi.Response, record: Record) -> None:
    if record.status is Status.SUCCEEDED:
        reply(
            resp,
            200,
            {
                "id": record.id,
                "function": record.function,
                "status": record.status,
                "result": msgspec.Raw(record.result or b"null"),
            },
        )
        return
    error = msgspec.json.decode(record.error or b"null") or {}
    failed = problems.STOPPED if error.get("type") == "Timeout" else problems.FAILED
    problems.answer(
        req,
        resp,
        _UNSUCCESSFUL.get(record.status, failed),
        detail=f"{error.get('type')}: {error.get('message')}",
        invocation_id=record.id,
        function_status=record.status,
        error=error,
    )
