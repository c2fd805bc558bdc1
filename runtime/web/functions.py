"""`/functions`: what there is, and invoking it."""

from dataclasses import dataclass
from typing import Any

import falcon.asgi

from runtime.function import Function
from runtime.registry import Registry
from runtime.store import AsyncStore, records
from runtime.web import handshake
from runtime.web.answers import invoke
from runtime.web.batch import invoke_batch
from runtime.web.exchange import Request, reply
from runtime.web.invoking import Invoker


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionList:
    """`GET /functions`."""

    registry: Registry

    async def on_get(self, _req: Request, resp: falcon.asgi.Response) -> None:
        reply(
            resp,
            200,
            {
                "functions": [function.to_json() for function in self.registry.values()],
                "failed": [failed.to_json() for failed in self.registry.failed],
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionResource:
    """`GET` and `POST /functions/{name}`, and `POST /functions/{name}/batch`, for one function."""

    function: Function[..., Any]
    invoker: Invoker
    store: AsyncStore

    async def on_get(self, _req: Request, resp: falcon.asgi.Response) -> None:
        counts = await self.store.run(records.read_counts(self.function.name))
        reply(resp, 200, self.function.to_json() | self.function.schemas() | {"counts": counts})

    async def on_options(self, req: Request, resp: falcon.asgi.Response) -> None:
        handshake.answer_options(req, resp, methods="GET, POST")

    async def on_post(self, req: Request, resp: falcon.asgi.Response) -> None:
        await invoke(req, resp, self.function, invoker=self.invoker)

    async def on_post_batch(self, req: Request, resp: falcon.asgi.Response) -> None:
        await invoke_batch(req, resp, self.function, invoker=self.invoker)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownFunction:
    """`/functions/{name}` and `/functions/{name}/batch` of a name that is not registered."""

    registry: Registry

    async def on_get(self, _req: Request, _resp: falcon.asgi.Response, name: str) -> None:
        self.registry.find(name)

    on_post = on_get
    on_post_batch = on_get
