"""`/functions`: what there is, and invoking it."""

from dataclasses import dataclass
from typing import Any

import falcon
import falcon.asgi
import msgspec

from runtime.function import Function
from runtime.invocation import Record, Status
from runtime.registry import Registry
from runtime.settings import Settings
from runtime.store import AsyncStore, steps
from runtime.web import prefer, problems
from runtime.web.exchange import read_payload, reply
from runtime.web.invoking import Caller, Invoker

_TRIGGERS = ["http", "celery"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionList:
    """`GET /functions`."""

    registry: Registry

    async def on_get(self, _req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        reply(
            resp,
            200,
            {
                "functions": [_summary(function) for function in self.registry.values()],
                "failed": [failed.to_json() for failed in self.registry.failed],
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionResource:
    """`GET` and `POST /functions/{name}`, for one function."""

    function: Function[..., Any]
    invoker: Invoker
    store: AsyncStore
    settings: Settings

    async def on_get(self, _req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        counts = await self.store.run(steps.read_counts(self.function.name))
        reply(
            resp,
            200,
            _summary(self.function)
            | {
                "payload_schema": self.function.payload.schema(),
                "result_schema": self.function.result_schema,
                "counts": counts,
            },
        )

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        seconds = prefer.wait_seconds(
            req.get_header("Prefer"), longest=self.settings.max_wait_seconds
        )
        if seconds is None:
            await self._accept(req, resp)
        else:
            await self._accept_and_wait(req, resp, seconds)

    async def _accept(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        payload = await read_payload(req, limit_bytes=self.settings.max_payload_bytes)
        invocation = await self.invoker.accept(self.function, payload, caller=caller_of(req))
        self._answer_accepted(req, resp, invocation.id)

    async def _accept_and_wait(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, seconds: int
    ) -> None:
        payload = await read_payload(req, limit_bytes=self.settings.max_waited_payload_bytes)
        invocation, record = await self.invoker.accept_and_wait(
            self.function, payload, caller=caller_of(req), seconds=seconds
        )
        resp.set_header("Preference-Applied", f"wait={seconds}")
        if record is None:
            self._answer_accepted(req, resp, invocation.id)
            return
        _note(req, self.function, invocation.id)
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
        else:
            _answer_function_error(req, resp, record)

    def _answer_accepted(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, invocation_id: str
    ) -> None:
        _note(req, self.function, invocation_id)
        resp.set_header("Location", f"/invocations/{invocation_id}")
        reply(
            resp,
            202,
            {"id": invocation_id, "function": self.function.name, "status": Status.QUEUED},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownFunction:
    """`/functions/{name}` of a name that is not registered."""

    registry: Registry

    async def on_get(
        self, _req: falcon.asgi.Request, _resp: falcon.asgi.Response, name: str
    ) -> None:
        self.registry.find(name)

    on_post = on_get


def caller_of(req: falcon.asgi.Request) -> Caller:
    """Return who sent a request, as the log middleware identified it."""
    return Caller(request_id=req.context.request_id, trace_parent=req.get_header("traceparent"))


def _summary(function: Function[..., Any]) -> dict[str, Any]:
    return {
        "name": function.name,
        "description": function.description,
        "triggers": _TRIGGERS,
        "timeout": function.timeout_seconds,
        "module": function.module,
    }


def _note(req: falcon.asgi.Request, function: Function[..., Any], invocation_id: str) -> None:
    req.context.noted |= {"function": function.name, "invocation_id": invocation_id}


def _answer_function_error(
    req: falcon.asgi.Request, resp: falcon.asgi.Response, record: Record
) -> None:
    error = msgspec.json.decode(record.error or b"{}")
    timed_out = error.get("type") == "Timeout"
    problems.answer(
        req,
        resp,
        504 if timed_out else 500,
        kind="function-timeout" if timed_out else "function-error",
        title="The function was stopped" if timed_out else "The function failed",
        detail=f"{error.get('type')}: {error.get('message')}",
        invocation_id=record.id,
        function_status=record.status,
        error=error,
    )
