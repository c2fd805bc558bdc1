"""Running a handler in this process, the way a worker would."""

from typing import Any

from runtime import json_text
from runtime.attempt import AttemptRunner
from runtime.context import Context
from runtime.function import Function
from runtime.invocation import new_id


def invoke(
    function: Function[..., Any],
    payload: Any = None,
    *,
    attempt: int = 1,
    invocation_id: str | None = None,
) -> Any:
    """Run one attempt: payload to JSON, validated, handler, result to JSON and back.

    `payload` is any JSON value (default `{}`). Returns what a caller would receive. Raises
    `InvalidPayloadError`, whatever the handler raises, and `InvalidResultError`. Nothing stops
    the handler at its timeout.
    """
    context = Context(
        invocation_id=invocation_id or new_id(),
        function_name=function.name,
        attempt=attempt,
        timeout_seconds=function.timeout_seconds,
    )
    raw = json_text.encode({} if payload is None else payload)
    with AttemptRunner() as runner:
        return json_text.decode(runner.run(function, raw, context))
