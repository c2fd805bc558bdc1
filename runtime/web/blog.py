"""The contract of the blog post that Eyas grew out of: `/ping`, `/create`, `/status/{task_id}`.

Its client and its shell loop run unmodified, so these answers keep its shapes and Celery's words.
"""

from dataclasses import dataclass
from typing import Any

import falcon
import falcon.asgi
import msgspec

from runtime import json_text
from runtime.errors import InvalidPayloadError, PayloadProblem
from runtime.invocation import Status
from runtime.registry import Registry
from runtime.web.exchange import Request, note, read_payload, reply
from runtime.web.invoking import Invoker
from runtime.web.terms import Terms

_FUNCTION = "fib"
# https://docs.celeryq.dev/en/stable/reference/celery.states.html
_CELERY_STATES = {
    Status.QUEUED: "PENDING",
    Status.RUNNING: "STARTED",
    Status.RETRYING: "RETRY",
    Status.SUCCEEDED: "SUCCESS",
    Status.FAILED: "FAILURE",
    Status.CANCELLED: "REVOKED",
    Status.EXPIRED: "REVOKED",
}
# An error in their records is that of an earlier attempt.
_NOT_ENDED = frozenset({Status.QUEUED, Status.RUNNING})


class Ping:
    """`GET /ping`."""

    async def on_get(self, _req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        reply(resp, 200, "pong!")


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """`POST /create`: queue fib; the number is a string or an integer."""

    registry: Registry
    invoker: Invoker

    async def on_post(self, req: Request, resp: falcon.asgi.Response) -> None:
        function = self.registry.find(_FUNCTION)
        limit_bytes = self.invoker.settings.max_payload_bytes
        body = json_text.decode(await read_payload(req, limit_bytes=limit_bytes))
        payload = json_text.encode({"number": _number(body)})
        terms = Terms(request_id=req.request_id, trace_parent=req.trace_parent)
        accepted = await self.invoker.accept(function, payload, terms=terms)
        note(req, function=function.name, invocation_id=accepted.id)
        reply(resp, 200, {"status": "success", "data": {"task_id": accepted.id}})


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStatus:
    """`GET /status/{task_id}`, in Celery's words."""

    invoker: Invoker

    async def on_get(self, req: Request, resp: falcon.asgi.Response, task_id: str) -> None:
        record = await self.invoker.read(task_id)
        note(req, function=record.function, invocation_id=record.id)
        result: Any = None
        if record.result is not None:
            result = msgspec.Raw(record.result)
        elif record.error is not None and record.status not in _NOT_ENDED:
            error = msgspec.json.decode(record.error)
            result = f"{error['type']}: {error['message']}"
        reply(resp, 200, {"status": _CELERY_STATES[record.status], "result": result})


def _number(body: Any) -> int:
    number = body.get("number") if isinstance(body, dict) else None
    if isinstance(number, str | int) and not isinstance(number, bool):
        try:
            return int(number)
        except ValueError:
            pass
    problem = PayloadProblem("/number", "expected an integer, or a string that holds one")
    raise InvalidPayloadError(_FUNCTION, [problem])
