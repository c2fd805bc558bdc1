"""`POST /functions/{name}/batch`: many payloads in one request, accepted together or not at all."""

from collections.abc import Iterator
from typing import Any

import falcon
import falcon.asgi
import msgspec

from runtime import json_text
from runtime.cloudevents import Mode
from runtime.errors import (
    BatchTooLargeError,
    InvalidBatchError,
    InvalidPayloadError,
    MalformedJSONError,
    PayloadProblem,
    PayloadTooLargeError,
)
from runtime.function import Function
from runtime.settings import Settings
from runtime.web.events import mode_of
from runtime.web.exchange import Request, media_type_of, read_body, read_payload, reply
from runtime.web.invoking import Invoker
from runtime.web.subscriptions import invoke_for_batch
from runtime.web.terms import terms_of

_NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
_MOST_PROBLEMS = 100
_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


async def invoke_batch(
    req: Request, resp: falcon.asgi.Response, function: Function[..., Any], *, invoker: Invoker
) -> None:
    """Invoke a function once for each payload of the body, and answer with the ids in its order."""
    if mode_of(req) is Mode.BATCHED:
        await invoke_for_batch(req, resp, function, invoker=invoker)
        return
    terms = terms_of(req, invoker.settings)
    if terms.idempotency_key is not None:
        raise falcon.HTTPBadRequest(
            description="Idempotency-Key: not for batches; give each payload a request of its own"
        )
    payloads = await _read(req, function, invoker.settings)
    ids = await invoker.accept_batch(function, payloads, terms=terms) if payloads else []
    req.noted = {"function": function.name, "invocation_count": len(ids)}
    reply(resp, 202, {"accepted": len(ids), "ids": ids})


async def _read(req: Request, function: Function[..., Any], settings: Settings) -> list[bytes]:
    """Return the payloads, all of them checked.

    Raises `InvalidBatchError`, `MalformedJSONError`, `BatchTooLargeError`, `PayloadTooLargeError`.
    """
    limit_bytes = settings.max_batch_bytes
    is_ndjson = media_type_of(req.content_type or "") in _NDJSON
    if is_ndjson:
        located = list(_lines(await read_body(req, limit_bytes=limit_bytes)))
    else:
        body = await read_payload(req, limit_bytes=limit_bytes)
        located = [(1, payload) for payload in _members(function, body)]
    if len(located) > settings.max_batch:
        raise BatchTooLargeError(len(located), limit=settings.max_batch)
    problems: list[PayloadProblem] = []
    first_bad = None
    for index, (line, payload) in enumerate(located):
        if len(payload) > settings.max_payload_bytes:
            raise PayloadTooLargeError(settings.max_payload_bytes, index=index)
        try:
            function.payload.check(payload)
        except MalformedJSONError as error:
            raise MalformedJSONError(
                f"payload {index}: {error.reason}",
                line=line + error.line - 1,
                column=error.column,
            ) from None
        except InvalidPayloadError as error:
            first_bad = index if first_bad is None else first_bad
            problems += (PayloadProblem(f"/{index}{p.pointer}", p.detail) for p in error.problems)
            if len(problems) >= _MOST_PROBLEMS:
                break
    if first_bad is not None:
        raise InvalidBatchError(function.name, problems[:_MOST_PROBLEMS], index=first_bad)
    return [payload for _, payload in located]


def _lines(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Give each payload of newline-delimited JSON with the number of its line, from 1."""
    for number, line in enumerate(body.split(b"\n"), 1):
        if payload := line.strip():
            yield number, payload


def _members(function: Function[..., Any], body: bytes) -> list[bytes]:
    try:
        return [bytes(payload) for payload in _decode_array(body)]
    except (msgspec.MsgspecError, RecursionError):
        # These say where it is no JSON. A payload may be as deep as a single one, in the array.
        json_text.check_nesting(body, deepest=json_text.MAX_NESTING + 1)
        value = json_text.decode(body)
        kind = "null" if value is None else type(value).__name__
        problem = PayloadProblem("", f"expected an array of payloads; got {kind}")
        raise InvalidPayloadError(function.name, [problem]) from None
