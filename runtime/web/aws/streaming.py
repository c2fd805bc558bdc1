"""InvokeWithResponseStream: what a handler yields, as it comes, in a stream of events.

https://docs.aws.amazon.com/lambda/latest/api/API_InvokeWithResponseStream.html

AWS does not document what its last event says of errors. `ErrorCode` is `Unhandled` for function
errors, with their JSON as the details, and `Runtime.TruncatedResponse` for a stream that is not
whole: so they are told apart by clients that live with it (`@remotion/lambda-client`,
`call-lambda-streaming.ts`).
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import falcon.asgi
import msgspec

from runtime.errors import EyasError
from runtime.function import Function
from runtime.invocation import Record, Status
from runtime.lambda_context import LATEST
from runtime.lambda_errors import body_of, import_error_body
from runtime.policy import DeadLetterReason
from runtime.settings import Settings
from runtime.web.aws import calls, errors, names
from runtime.web.aws.concurrency import all_run, check_not_all_run
from runtime.web.aws.errors import LambdaError, not_implemented
from runtime.web.aws.eventstream import CONTENT_TYPE, LARGEST_PAYLOAD_BYTES, event
from runtime.web.aws.invoke import (
    LOG_SLACK,
    LOG_TYPES,
    Invoke,
    one_of,
    out_of_patience,
    read_payload,
)
from runtime.web.aws.tail import read_tail
from runtime.web.exchange import Request
from runtime.web.following import LostAttemptError, follow
from runtime.web.terms import Patience

_TYPES = ("DryRun", "RequestResponse")
_MOST_BYTES_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseStream:
    """The operation that runs a function and streams what comes of it."""

    invoking: Invoke

    @property
    def _settings(self) -> Settings:
        return self.invoking.invoker.settings

    async def invoke(
        self, req: Request, resp: falcon.asgi.Response, parameters: Mapping[str, str]
    ) -> None:
        """`InvokeWithResponseStream`: accepted as by `Invoke`, before anything is answered."""
        target = names.target_in(req, parameters)
        kind = one_of(req, b"x-amz-invocation-type", "invocationType", _TYPES) or "RequestResponse"
        wants_log = one_of(req, b"x-amz-log-type", "logType", LOG_TYPES) == "Tail"
        if req.header(b"x-amz-tenant-id") is not None:
            raise not_implemented("InvokeWithResponseStream with TenantId")
        failed = names.failed_module_of(target, self.invoking.registry)
        if failed is not None and kind == "RequestResponse":
            _answer(resp, _only(_complete(**_unhandled(import_error_body(failed)))))
            return
        function = self.invoking.function_of(target)
        limit_bytes = self._settings.max_waited_payload_bytes
        payload = await read_payload(req, kind, limit_bytes=limit_bytes)
        if kind == "DryRun":
            resp.status = 204
            return
        since = datetime.now(UTC) - LOG_SLACK
        terms = calls.waited_terms_of(req, target, function)
        await check_not_all_run(function.name, terms, payload, invoker=self.invoking.invoker)
        acceptance = await self.invoking.accept(
            req, resp, target, function, payload=payload, terms=terms
        )
        seconds = self._settings.lambda_wait_seconds
        patience = Patience(seconds=seconds, until=time.monotonic() + seconds, hung_up=req.hung_up)
        read_log = partial(self._log, since=None if acceptance.is_replayed else since)
        _answer(
            resp,
            self._events(function, acceptance.id, patience, read_log if wants_log else _no_log),
        )

    async def _events(
        self,
        function: Function[..., Any],
        invocation_id: str,
        patience: Patience,
        read_log: Callable[[Record], Awaitable[dict[str, str]]],
    ) -> AsyncIterator[bytes]:
        """Yield frames, several at a time."""
        following = follow(self.invoking.invoker, function, invocation_id, patience=patience)
        try:
            async with contextlib.aclosing(following):
                async for found in following:
                    if not isinstance(found, Record):
                        for frames in _together(map(_bytes_of, found)):
                            yield frames
                            # The server takes what there is, and others want their turn.
                            await asyncio.sleep(0)
                        continue
                    if found.dead_letter == DeadLetterReason.ZERO_RESERVED_CONCURRENCY:
                        yield _refused(all_run())
                        return
                    if found.status is Status.SUCCEEDED and not function.yields:
                        for frames in _together([found.result or b"null"]):
                            yield frames
                    log = await read_log(found)
                    is_error = found.status is not Status.SUCCEEDED
                    yield _complete(**(_unhandled(body_of(found)) if is_error else {}), **log)
        except LostAttemptError as error:
            yield _complete(ErrorCode="Runtime.TruncatedResponse", ErrorDetails=str(error))
        except TimeoutError:
            yield _refused(out_of_patience(invocation_id, patience.seconds))
        except EyasError as error:
            yield _refused(errors.translated(error))

    async def _log(self, record: Record, *, since: datetime | None) -> dict[str, str]:
        log = await asyncio.to_thread(
            read_tail,
            self._settings.log_dir,
            record,
            since=since,
            is_quiet=self._settings.log_level in {"warning", "error"},
        )
        return {"LogResult": log}


async def _no_log(_record: Record) -> dict[str, str]:
    return {}


async def _only(frames: bytes) -> AsyncIterator[bytes]:
    yield frames


def _answer(resp: falcon.asgi.Response, events: AsyncIterator[bytes]) -> None:
    resp.status = 200
    resp.content_type = CONTENT_TYPE
    resp.set_header("X-Amz-Executed-Version", LATEST)
    resp.stream = events


def _bytes_of(chunk: bytes) -> bytes:
    """Return what a client is to receive of a chunk: of a text, itself, else the JSON text."""
    return msgspec.json.decode(chunk, type=str).encode() if chunk.startswith(b'"') else chunk


def _together(payloads: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the frames of payloads, several at a time, as long as they are small."""
    frames = bytearray()
    for payload in payloads:
        # An empty one would be a chunk of nothing.
        for at in range(0, len(payload), LARGEST_PAYLOAD_BYTES):
            frames += event(
                "PayloadChunk",
                "application/octet-stream",
                payload[at : at + LARGEST_PAYLOAD_BYTES],
            )
        if len(frames) >= _MOST_BYTES_AT_ONCE:
            yield bytes(frames)
            frames.clear()
    if frames:
        yield bytes(frames)


def _complete(**members: str) -> bytes:
    return event("InvokeComplete", "application/json", msgspec.json.encode(members))


def _unhandled(body: bytes) -> dict[str, str]:
    """Return what is said of a function error."""
    return {"ErrorCode": "Unhandled", "ErrorDetails": body.decode()}


def _refused(error: LambdaError) -> bytes:
    return _complete(ErrorCode=error.code, ErrorDetails=str(error))
