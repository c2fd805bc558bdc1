"""Invoke, and its older form InvokeAsync."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import falcon.asgi
import structlog

from runtime.errors import IdempotencyConflictError, PayloadTooLargeError
from runtime.event_invoke import EventInvokeConfig
from runtime.function import Function
from runtime.invocation import Record, Status
from runtime.lambda_context import LATEST
from runtime.lambda_errors import body_of, import_error_body
from runtime.policy import DeadLetterReason
from runtime.registry import Registry
from runtime.settings import Settings
from runtime.store import function_configs
from runtime.web.aws import calls, executions, names
from runtime.web.aws.calls import CallTerms
from runtime.web.aws.concurrency import all_run, check_not_all_run
from runtime.web.aws.errors import LambdaError, failed_validation, not_implemented
from runtime.web.aws.names import Target
from runtime.web.aws.tail import read_tail
from runtime.web.exchange import Request, note, read_body
from runtime.web.invoking import Acceptance, Invoker
from runtime.web.terms import Patience

_log = structlog.get_logger("web")

_TYPES = ("Event", "RequestResponse", "DryRun")
LOG_TYPES = ("None", "Tail")
_LARGEST_INVOKE_ASYNC = 262_144
_CLIENT_CLOSED_REQUEST = 499
# The event loop's timers may be early by its own resolution.
_TIMER_SLACK_SECONDS = 0.1
LOG_SLACK = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoke:
    """The operations that run functions."""

    registry: Registry
    invoker: Invoker

    @property
    def _settings(self) -> Settings:
        return self.invoker.settings

    async def invoke(
        self, req: Request, resp: falcon.asgi.Response, parameters: Mapping[str, str]
    ) -> None:
        """`Invoke`: run a function and wait for its end, or put it into the queue, or neither."""
        target = names.target_in(req, parameters)
        kind = one_of(req, b"x-amz-invocation-type", "invocationType", _TYPES) or "RequestResponse"
        wants_log = one_of(req, b"x-amz-log-type", "logType", LOG_TYPES) == "Tail"
        _refuse_what_is_not_there(req)
        failed = names.failed_module_of(target, self.registry)
        if failed is not None and kind == "RequestResponse":
            _answer(resp, import_error_body(failed), is_error=True)
            return
        function = self.function_of(target)
        if kind == "DryRun":
            await read_payload(req, kind, limit_bytes=self._settings.max_waited_payload_bytes)
            resp.status = 204
        elif kind == "Event":
            limit_bytes = self._settings.max_payload_bytes
            await self._enqueue(req, resp, target, function, limit_bytes=limit_bytes)
        else:
            await self._run(req, resp, target, function, wants_log=wants_log)

    async def invoke_async(
        self, req: Request, resp: falcon.asgi.Response, parameters: Mapping[str, str]
    ) -> None:
        """`InvokeAsync`: what `Event` was called before."""
        target = names.target_in(req, parameters)
        limit_bytes = min(_LARGEST_INVOKE_ASYNC, self._settings.max_payload_bytes)
        function = self.function_of(target)
        await self._enqueue(req, resp, target, function, limit_bytes=limit_bytes)

    def function_of(self, target: Target) -> Function[..., Any]:
        """Return the function, in the one version that there is."""
        function = self.registry.get(target.name)
        if function is not None and target.qualifier in {None, LATEST}:
            return function
        if names.failed_module_of(target, self.registry) is not None:
            raise LambdaError(
                "ResourceConflictException",
                "The operation cannot be performed at this time. The function is currently in the "
                "following state: Failed",
            )
        raise names.not_found(target)

    async def _enqueue(
        self,
        req: Request,
        resp: falcon.asgi.Response,
        target: Target,
        function: Function[..., Any],
        *,
        limit_bytes: int,
    ) -> None:
        payload = await read_payload(req, "Event", limit_bytes=limit_bytes)
        config = await self.invoker.store.run(function_configs.read_event_invoke(function.name))
        terms = calls.event_terms_of(req, target, config or EventInvokeConfig())
        await self.accept(req, resp, target, function, payload=payload, terms=terms)
        resp.status = 202

    async def _run(
        self,
        req: Request,
        resp: falcon.asgi.Response,
        target: Target,
        function: Function[..., Any],
        *,
        wants_log: bool,
    ) -> None:
        since = datetime.now(UTC) - LOG_SLACK
        terms = calls.waited_terms_of(req, target, function)
        limit_bytes = self._settings.max_waited_payload_bytes
        payload = await read_payload(req, "RequestResponse", limit_bytes=limit_bytes)
        await check_not_all_run(function.name, terms, payload, invoker=self.invoker)
        seconds = self._settings.lambda_wait_seconds
        patience = Patience(seconds=seconds, until=time.monotonic() + seconds, hung_up=req.hung_up)
        acceptance = await self.accept(
            req, resp, target, function, payload=payload, terms=terms, patience=patience
        )
        record = acceptance.record
        if record is None or not record.is_terminal:
            if time.monotonic() < patience.until - _TIMER_SLACK_SECONDS:
                resp.status = _CLIENT_CLOSED_REQUEST  # for the log only: it has hung up
                return
            raise out_of_patience(acceptance.id, seconds)
        if record.dead_letter == DeadLetterReason.ZERO_RESERVED_CONCURRENCY:
            raise all_run()
        if wants_log:
            resp.set_header(
                "X-Amz-Log-Result",
                await asyncio.to_thread(
                    read_tail,
                    self._settings.log_dir,
                    record,
                    since=None if acceptance.is_replayed else since,
                    is_quiet=self._settings.log_level in {"warning", "error"},
                ),
            )
        _answer_end(resp, record)

    async def accept(
        self,
        req: Request,
        resp: falcon.asgi.Response,
        target: Target,
        function: Function[..., Any],
        *,
        payload: bytes,
        terms: CallTerms,
        patience: Patience | None = None,
    ) -> Acceptance:
        """Accept a call, and say in the answer which invocation and execution it is."""
        name = terms.execution_name
        try:
            acceptance = await self.invoker.accept(
                function, payload, terms=terms, patience=patience
            )
        except IdempotencyConflictError as error:
            if name is None:
                raise
            raise executions.already_started(name) from error
        _say_which(req, resp, function, acceptance, is_named=name is not None)
        if terms.has_execution_arn:
            arn = executions.arn_of(target, name=name, invocation_id=acceptance.id)
            resp.set_header("X-Amz-Durable-Execution-Arn", arn)
        return acceptance


def one_of(req: Request, header: bytes, member: str, values: tuple[str, ...]) -> str | None:
    """Return a header if it is there; raises `LambdaError` if it has none of these values."""
    given = req.header(header)
    if given and given not in values:
        raise failed_validation(
            given, member, f"satisfy enum value set: [{', '.join(sorted(values))}]"
        )
    return given or None


def _refuse_what_is_not_there(req: Request) -> None:
    if req.header(b"x-amz-tenant-id") is not None:
        raise not_implemented("Invoke with TenantId")


async def read_payload(req: Request, kind: str, *, limit_bytes: int) -> bytes:
    """Return the payload, whatever `Content-Type` says: SDKs send none, or any."""
    try:
        return await read_body(req, limit_bytes=limit_bytes)
    except PayloadTooLargeError as error:
        size = req.announced_bytes
        text = f"Request must be smaller than {limit_bytes} bytes for the InvokeFunction operation"
        if kind == "Event" and size is not None:
            text = (
                f"{size} byte payload is too large for the Event invocation type "
                f"(limit {limit_bytes} bytes)"
            )
        raise LambdaError("RequestEntityTooLargeException", text) from error


def _say_which(
    req: Request,
    resp: falcon.asgi.Response,
    function: Function[..., Any],
    acceptance: Acceptance,
    *,
    is_named: bool,
) -> None:
    """Say which invocation it is: in the answer, and in the log.

    AWS runs a call again that is repeated, unless the execution has a name.
    """
    note(req, function=function.name, invocation_id=acceptance.id)
    resp.set_header("x-amzn-RequestId", acceptance.id)
    if acceptance.is_replayed and not is_named:
        resp.set_header("x-emulator-deduplicated", "true")
        _log.warning(
            "call.repeated",
            invocation_id=acceptance.id,
            function=function.name,
            request_id=req.request_id,
            sdk_request=req.header(b"amz-sdk-request"),
        )


def out_of_patience(invocation_id: str, seconds: int) -> LambdaError:
    """Say that nobody waits any longer for an invocation."""
    return LambdaError(
        "ServiceException",
        f"Invocation {invocation_id} has not ended within {seconds} seconds "
        f"(EYAS_LAMBDA_WAIT_SECONDS). It goes on: GET /invocations/{invocation_id}",
        status=504,
    )


def _answer_end(resp: falcon.asgi.Response, record: Record) -> None:
    if record.status is Status.SUCCEEDED:
        _answer(resp, record.result or b"null", is_error=False)
    else:
        _answer(resp, body_of(record), is_error=True)


def _answer(resp: falcon.asgi.Response, body: bytes, *, is_error: bool) -> None:
    resp.status = 200
    resp.content_type = "application/json"
    resp.set_header("X-Amz-Executed-Version", LATEST)
    if is_error:
        resp.set_header("X-Amz-Function-Error", "Unhandled")
    resp.data = body
