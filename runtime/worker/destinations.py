"""Destinations: what became of an asynchronous call goes to another function, or to a URL.

As a callback, telling one is an invocation of its own, of the function here. Its attempts all make
the same invocation of the other function, whose id is made of its own.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
"""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from runtime import lambda_errors, message
from runtime.context import Context
from runtime.errors import PermanentError
from runtime.event_invoke import EventInvokeConfig
from runtime.function import Function
from runtime.invocation import Invocation, Record, Status
from runtime.lambda_context import LATEST, Calling, function_arn, name_in
from runtime.policy import DeadLetterReason
from runtime.settings import Settings
from runtime.store import Store, function_configs, lifecycle
from runtime.store.telling import DESTINATION
from runtime.webhook import is_url
from runtime.worker import webhooks
from runtime.worker.telling import read_ended, telling_function

TRIGGER = "destination"
MOST_IN_A_ROW = 16
"""How many invocations tell each other of their ends. AWS stops loops after about as many:
https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html"""

_IDS = uuid.UUID("5f6b1a3e-2f0d-4b8e-9f3f-0c7f6d1f7a52")
_BARRED = DeadLetterReason.ZERO_RESERVED_CONCURRENCY
_CONDITIONS = {
    DeadLetterReason.EXPIRED: "EventAgeExceeded",
    _BARRED: "ZeroReservedConcurrency",
}


def destination_function(
    settings: Settings, store: Store, functions: Mapping[str, Function[..., Any]]
) -> Function[..., Any]:
    """Return the function that tells destinations; `functions` are those that may be one."""

    def destination(
        invocation_id: str, destination: str, context: Context, trace_parent: str = ""
    ) -> str | int | None:
        """Send the record of an end; return the id of the invocation made, or the HTTP status.

        None if there is nothing to say: it was redriven, and its next end is told of anew.
        """
        ended = read_ended(invocation_id, settings=settings, store=store)
        if ended is None:
            return None
        body = record_of(ended)
        if is_url(destination):
            return webhooks.send(
                destination,
                body,
                content_type="application/json",
                message_id=context.invocation_id,
                trace_parent=trace_parent,
                settings=settings,
            )
        depth = ended.depth + 1
        if depth >= MOST_IN_A_ROW:
            raise PermanentError(
                f"a loop of destinations: {MOST_IN_A_ROW} invocations have told each other"
            )
        function = functions.get(name_in(destination))
        if function is None:
            raise PermanentError(f"there is no function for {destination}")
        config = store.run(function_configs.read_event_invoke(function.name))
        invocation = invocation_of(
            function,
            config or EventInvokeConfig(),
            id=str(uuid.uuid5(_IDS, context.invocation_id)),
            arn=destination,
            payload=body,
            depth=depth,
            trace_parent=trace_parent or None,
        )
        # Known already if an earlier attempt has done it.
        store.run(
            lifecycle.accept(
                invocation,
                message.encode(invocation, function.payload),
                listed_seconds=settings.retention.record_seconds,
            )
        )
        return invocation.id

    return telling_function(DESTINATION, destination)


def invocation_of(
    function: Function[..., Any],
    config: EventInvokeConfig,
    *,
    id: str,  # noqa: A002  what it is called everywhere
    arn: str,
    payload: bytes,
    depth: int,
    trace_parent: str | None = None,
) -> Invocation:
    """Make the asynchronous call of a function that is a destination."""
    is_expected = arn == function_arn(function.name)
    return Invocation(
        id=id,
        function=function.name,
        payload=payload,
        trigger=TRIGGER,
        timeout_seconds=function.timeout_seconds,
        retries=config.policy.retries,
        max_age_seconds=config.policy.max_age_seconds,
        policy=config.policy.encode(),
        calling=None if is_expected else Calling(invoked_function_arn=arn).encode(),
        on_success=config.on_success,
        on_failure=config.on_failure,
        depth=depth,
        trace_parent=trace_parent,
    )


def record_of(ended: Record) -> bytes:
    """Return AWS's record of an end, as JSON text: the same, whenever it is asked for.

    One that never ran has no response, nor has one that was not let run again.
    """
    is_success = ended.status is Status.SUCCEEDED
    told: dict[str, Any] = {
        "version": "1.0",
        "timestamp": _written(ended.finished_at_us or 0),
        "requestContext": {
            "requestId": ended.id,
            "functionArn": _latest_arn(ended),
            "condition": _condition(ended),
            "approximateInvokeCount": ended.attempt,
        },
        "requestPayload": msgspec.Raw(ended.payload),
    }
    if ended.attempt and ended.dead_letter != _BARRED:
        told["responseContext"] = {"statusCode": 200, "executedVersion": LATEST}
        if not is_success:
            told["responseContext"]["functionError"] = "Unhandled"
        response = ended.result if is_success else lambda_errors.body_of(ended)
        told["responsePayload"] = msgspec.Raw(response or b"null")
    return msgspec.json.encode(told)


def _condition(ended: Record) -> str:
    """Return why it is told of, in AWS's words: it has none for what is not tried again."""
    if ended.status is Status.SUCCEEDED:
        return "Success"
    reason = DeadLetterReason(ended.dead_letter) if ended.dead_letter else None
    return _CONDITIONS.get(reason, "RetriesExhausted") if reason else "RetriesExhausted"


def _latest_arn(ended: Record) -> str:
    called = Calling.decode(ended.calling).invoked_function_arn or function_arn(ended.function)
    return called if called.endswith(f":{LATEST}") else f"{called}:{LATEST}"


def _written(at_us: int) -> str:
    at = datetime.fromtimestamp(at_us / 1_000_000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
