"""The Lambda API on web's own port: which operation a request asks for, and who answers it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import falcon.asgi

from runtime.registry import Registry
from runtime.web.aws import errors, operations
from runtime.web.aws.concurrency import ReservedConcurrency
from runtime.web.aws.discovery import Discovery
from runtime.web.aws.durable import Durable
from runtime.web.aws.errors import LambdaError
from runtime.web.aws.event_invoke_configs import EventInvokeConfigs
from runtime.web.aws.invoke import Invoke
from runtime.web.aws.streaming import ResponseStream
from runtime.web.exchange import Request
from runtime.web.invoking import Invoker

_Answering = Callable[[Request, falcon.asgi.Response, Mapping[str, str]], Awaitable[None]]

_FROM_A_FOLDER = frozenset(
    {"CreateFunction", "DeleteFunction", "UpdateFunctionCode", "UpdateFunctionConfiguration"}
)
_FOLDER_HINT = "Functions are the modules of the functions folder."


class LambdaApi:
    """Answers everything below AWS's paths.

    It is a sink and no set of routes: on most paths some methods are operations of ours and others
    are refused by their names, and all of them answer errors as AWS does.
    """

    def __init__(self, *, registry: Registry, invoker: Invoker) -> None:
        invoking = Invoke(registry=registry, invoker=invoker)
        streaming = ResponseStream(invoking=invoking)
        discovery = Discovery(registry=registry, store=invoker.store)
        reserved = ReservedConcurrency(registry=registry, store=invoker.store)
        durable = Durable(registry=registry, invoker=invoker)
        configs = EventInvokeConfigs(
            registry=registry, store=invoker.store, settings=invoker.settings
        )
        self.answering: Mapping[str, _Answering] = {
            "Invoke": invoking.invoke,
            "InvokeAsync": invoking.invoke_async,
            "InvokeWithResponseStream": streaming.invoke,
            "ListFunctions": discovery.list_functions,
            "GetFunction": discovery.get_function,
            "GetFunctionConfiguration": discovery.get_function_configuration,
            "ListVersionsByFunction": discovery.list_versions,
            "ListAliases": discovery.list_aliases,
            "GetDurableExecution": durable.get_execution,
            "GetDurableExecutionHistory": durable.get_history,
            "StopDurableExecution": durable.stop,
            "PutFunctionEventInvokeConfig": configs.put,
            "UpdateFunctionEventInvokeConfig": configs.update,
            "GetFunctionEventInvokeConfig": configs.get,
            "DeleteFunctionEventInvokeConfig": configs.delete,
            "ListFunctionEventInvokeConfigs": configs.list_all,
            "PutFunctionConcurrency": reserved.put,
            "GetFunctionConcurrency": reserved.get,
            "DeleteFunctionConcurrency": reserved.delete,
        }

    def register(self, app: falcon.asgi.App[Request, falcon.asgi.Response]) -> None:
        """Have an application pass on what is for here."""
        app.add_sink(self.answer, prefix=errors.PATHS)

    async def answer(self, req: Request, resp: falcon.asgi.Response | None, **_groups: Any) -> None:
        """Answer one request; raises `LambdaError`."""
        if resp is None:
            return  # a WebSocket, which the server does not take
        resp.set_header("x-amzn-RequestId", req.request_id)
        asked = operations.find(req.method, req.path, req.query_string)
        if asked is None:
            self._refuse_unknown(req, resp)
            return
        req.uri_template = asked.operation.path
        answering = self.answering.get(asked.operation.name)
        if answering is None:
            name = asked.operation.name
            hint = _FOLDER_HINT if name in _FROM_A_FOLDER else ""
            raise errors.not_implemented(name, hint=hint)
        await answering(req, resp, asked.parameters)

    def _refuse_unknown(self, req: Request, resp: falcon.asgi.Response) -> None:
        methods = operations.methods_of(req.path)
        if not methods:
            raise LambdaError("UnknownOperationException", f"Lambda has no path {req.path}")
        resp.set_header("Allow", ", ".join(methods))
        if req.method == "OPTIONS":
            resp.status = 200
            return
        raise LambdaError(
            "UnknownOperationException",
            f"Lambda has no operation {req.method} {req.path}",
            status=405,
        )
