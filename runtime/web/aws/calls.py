"""A call of an SDK: what its headers say of it, and how it is known again when it is repeated."""

import base64
import binascii
import dataclasses
import hashlib
import re
from typing import Any

import msgspec

from runtime.event_invoke import EventInvokeConfig
from runtime.function import Function
from runtime.invocation import IdempotencyKey
from runtime.lambda_context import Calling, function_arn
from runtime.policy import RetryPolicy
from runtime.web.aws import executions
from runtime.web.aws.errors import LambdaError
from runtime.web.aws.names import Target
from runtime.web.exchange import Request
from runtime.web.terms import Terms

_LONGEST_CLIENT_CONTEXT = 3583
# Longer than all attempts of an SDK together: it gives up a call after 15 minutes at most, and
# makes five.
_CALL_SECONDS = 2 * 3600
_CALL_ID = re.compile(r"[!-~]{1,128}")
_CALL_SCOPE = "sdk/"
_NAME_SCOPE = "durable/"
_ONE_ATTEMPT = RetryPolicy(retries=0)


class CallTerms(Terms, frozen=True, kw_only=True):
    """Terms of a call of an SDK, which names each call, and its repetitions like it.

    With an `execution_name`, which people choose, the SDK's own name says no more.
    """

    kind: str
    execution_name: str | None = None

    @property
    def has_execution_arn(self) -> bool:
        """Whether the answer says which execution it is."""
        return self.execution_name is not None or self.kind == "Event"

    def idempotency(self, payload: bytes, *, ttl_seconds: int) -> IdempotencyKey | None:
        """Return the key of the call: what is sent again is the same, byte by byte.

        With a name for the execution, only the payload is, as a JSON value, for `ttl_seconds`.
        """
        if self.execution_name is not None:
            named = super().idempotency(payload, ttl_seconds=ttl_seconds)
            return named and dataclasses.replace(named, scope=_NAME_SCOPE)
        if self.idempotency_key is None:
            return None
        said = b"%b\n%b\n%b" % (self.kind.encode(), self.calling or b"", payload)
        return IdempotencyKey(
            key=self.idempotency_key,
            digest=hashlib.sha256(said).hexdigest(),
            ttl_seconds=_CALL_SECONDS,
            scope=_CALL_SCOPE,
        )


def waited_terms_of(req: Request, target: Target, function: Function[..., Any]) -> CallTerms:
    """Read the headers that are about a `RequestResponse`; raises `LambdaError`."""
    return _terms_of(
        req,
        "RequestResponse",
        target,
        policy=_ONE_ATTEMPT if function.retry_policy.retries else None,
        client_context=_client_context(req.header(b"x-amz-client-context")),
    )


def event_terms_of(req: Request, target: Target, config: EventInvokeConfig) -> CallTerms:
    """Read the headers that are about an `Event`; `config` is what its function's is now."""
    terms = _terms_of(req, "Event", target, policy=config.policy)
    return msgspec.structs.replace(
        terms, on_success=config.on_success, on_failure=config.on_failure
    )


def _terms_of(
    req: Request,
    kind: str,
    target: Target,
    *,
    policy: RetryPolicy | None,
    client_context: dict[str, Any] | None = None,
) -> CallTerms:
    name = executions.name_in(req)
    calling = Calling(
        invoked_function_arn=_arn_to_keep(target),
        client_context=client_context,
        execution_name=name,
    )
    return CallTerms(
        request_id=req.request_id,
        trace_parent=req.trace_parent,
        idempotency_key=f"{target.region}/{target.account}/{name}" if name else _call_id(req),
        takes_unfit=True,
        calling=calling.encode() if calling != Calling() else None,
        policy=policy,
        kind=kind,
        execution_name=name,
    )


def _call_id(req: Request) -> str | None:
    call_id = req.header(b"amz-sdk-invocation-id")
    return call_id if call_id and _CALL_ID.fullmatch(call_id) else None


def _client_context(header: str | None) -> dict[str, Any] | None:
    if not header:
        return None
    if len(header) > _LONGEST_CLIENT_CONTEXT:
        raise LambdaError(
            "InvalidRequestContentException",
            f"Client context must be no more than {_LONGEST_CLIENT_CONTEXT} bytes when "
            "base64-encoded.",
        )
    try:
        return msgspec.json.decode(base64.b64decode(header, validate=True), type=dict[str, Any])
    except (binascii.Error, msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise LambdaError(
            "InvalidRequestContentException",
            "Client context must be a valid Base64-encoded JSON object.",
        ) from error


def _arn_to_keep(target: Target) -> str | None:
    """Return the function's ARN if it is not the one that everybody would expect."""
    return None if target.arn == function_arn(target.name) else target.arn
