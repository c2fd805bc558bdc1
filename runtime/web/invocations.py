"""`/invocations/{id}`: what became of an invocation; cancelling it, running it once more."""

from dataclasses import dataclass

import falcon.asgi

from runtime.registry import Registry
from runtime.web.answers import answer_accepted, invoke
from runtime.web.exchange import Request, note, reply
from runtime.web.invoking import Invoker
from runtime.web.terms import patience_of


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationResource:
    """`GET /invocations/{id}`, at once or when it is finished; `DELETE` cancels."""

    invoker: Invoker

    async def on_get(self, req: Request, resp: falcon.asgi.Response, invocation_id: str) -> None:
        patience = patience_of(req, self.invoker.settings)
        record = await self.invoker.read(invocation_id, patience=patience)
        note(req, function=record.function, invocation_id=record.id)
        if patience is not None:
            resp.set_header("Preference-Applied", f"wait={patience.seconds}")
        resp.set_header("Vary", "Prefer")
        reply(resp, 200, record.to_json())

    async def on_delete(self, req: Request, resp: falcon.asgi.Response, invocation_id: str) -> None:
        record, status = await self.invoker.cancel(invocation_id)
        note(req, function=record.function, invocation_id=record.id)
        answer_accepted(resp, invocation_id=record.id, function=record.function, status=status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """`POST /invocations/{id}/replay`: a new invocation, of the same payload or another one."""

    registry: Registry
    invoker: Invoker

    async def on_post(self, req: Request, resp: falcon.asgi.Response, invocation_id: str) -> None:
        record = await self.invoker.read(invocation_id)
        function = self.registry.find(record.function)
        await invoke(req, resp, function, invoker=self.invoker, replayed=record)
