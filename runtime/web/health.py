"""`/healthz`: this process is alive. `/readyz`: invocations are accepted and run."""

from dataclasses import dataclass

import falcon.asgi

from runtime.errors import BrokerUnavailableError
from runtime.store import AsyncStore, claims
from runtime.web import problems
from runtime.web.exchange import reply


class Alive:
    """`GET /healthz`."""

    async def on_get(self, _req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        reply(resp, 200, {"status": "alive"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """`GET /readyz`: 200, or 503 with the reason."""

    store: AsyncStore

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        try:
            workers = await self.store.run(claims.count_consuming())
        except BrokerUnavailableError as error:
            self._refuse(req, resp, str(error))
            return
        if workers:
            reply(resp, 200, {"status": "ready", "workers": workers})
        else:
            self._refuse(req, resp, "no worker is consuming")

    @staticmethod
    def _refuse(req: falcon.asgi.Request, resp: falcon.asgi.Response, reason: str) -> None:
        problems.answer(req, resp, problems.NOT_READY, detail=reason)
