"""`/invocations/{id}`: what became of an invocation."""

from dataclasses import dataclass

import falcon.asgi

from runtime.errors import UnknownInvocationError
from runtime.invocation import Record, is_id
from runtime.settings import Settings
from runtime.web import prefer
from runtime.web.exchange import reply
from runtime.web.invoking import Invoker


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationResource:
    """`GET /invocations/{id}`, at once or when it is finished."""

    invoker: Invoker
    settings: Settings

    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, invocation_id: str
    ) -> None:
        seconds = prefer.wait_seconds(
            req.get_header("Prefer"), longest=self.settings.max_wait_seconds
        )
        record = await find(self.invoker, invocation_id, wait_seconds=seconds)
        req.context.noted |= {"function": record.function, "invocation_id": record.id}
        if seconds is not None:
            resp.set_header("Preference-Applied", f"wait={seconds}")
        resp.set_header("Vary", "Prefer")
        reply(resp, 200, record.to_json())


async def find(invoker: Invoker, invocation_id: str, *, wait_seconds: float | None) -> Record:
    """Read a record; raises `UnknownInvocationError` for what cannot be an id as well."""
    if not is_id(invocation_id):
        raise UnknownInvocationError(invocation_id)
    return await invoker.read(invocation_id, wait_seconds=wait_seconds)
