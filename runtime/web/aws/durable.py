"""Durable executions: what became of an invocation, what has happened to it, and stopping it."""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass

import falcon.asgi

from runtime.errors import ConflictError, ExpiredInvocationError, UnknownInvocationError
from runtime.registry import Registry
from runtime.store import clock
from runtime.web.aws import executions, names
from runtime.web.aws.executions import Execution, timestamp
from runtime.web.aws.paging import max_items, page_of
from runtime.web.exchange import Request, note, reply
from runtime.web.invoking import Invoker
from runtime.web.terms import Patience

_PAGE = 100
_MOST_ITEMS = 1000
# Workers look for what they shall stop each time they renew their lease.
_STOP_WAIT_SECONDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Durable:
    """The operations on executions, which are invocations."""

    registry: Registry
    invoker: Invoker

    async def get_execution(
        self, req: Request, resp: falcon.asgi.Response, parameters: Mapping[str, str]
    ) -> None:
        """`GetDurableExecution`."""
        execution = await self._find(req, parameters)
        reply(resp, 200, execution.described(has_data=_has_data(req)))

    async def get_history(
        self, req: Request, resp: falcon.asgi.Response, parameters: Mapping[str, str]
    ) -> None:
        """`GetDurableExecutionHistory`: its start and its end."""
        size = max_items(req, default=_PAGE, least=0, most=_MOST_ITEMS) or _PAGE
        is_reversed = req.get_param_as_bool("ReverseOrder", default=False)
        execution = await self._find(req, parameters)
        function = self.registry.get(execution.record.function)
        events = execution.history(
            timeout_seconds=function.timeout_seconds if function else 0, has_data=_has_data(req)
        )
        if is_reversed:
            events.reverse()
        page, following = page_of(events, marker=req.get_param("Marker"), size=size)
        reply(resp, 200, {"Events": page} | ({"NextMarker": following} if following else {}))

    async def stop(
        self, req: Request, resp: falcon.asgi.Response, parameters: Mapping[str, str]
    ) -> None:
        """`StopDurableExecution`: the answer is when it ended, also if it had ended before.

        So a repetition is answered like the first one. If a worker does not stop it in time, the
        answer is when that was asked for.
        """
        execution = await self._find(req, parameters)
        if execution.ended_at_us is None:
            with contextlib.suppress(ConflictError):  # it has ended since
                await self.invoker.cancel(execution.record.id)
            seconds = _STOP_WAIT_SECONDS
            until = time.monotonic() + seconds
            patience = Patience(seconds=seconds, until=until, hung_up=req.hung_up)
            record = await self.invoker.read(execution.record.id, patience=patience)
            execution = Execution.of(record)
        at_us = execution.ended_at_us
        if at_us is None:
            at_us = (await self.invoker.store.run(clock.read())).now_us
        reply(resp, 200, {"StopTimestamp": timestamp(at_us)})

    async def _find(self, req: Request, parameters: Mapping[str, str]) -> Execution:
        """Return the execution that an ARN names, if all of it fits; raises `LambdaError`."""
        arn = parameters["DurableExecutionArn"]
        try:
            record = await self.invoker.read(executions.id_in(arn))
        except (UnknownInvocationError, ExpiredInvocationError) as error:
            raise executions.not_found(arn) from error
        execution = Execution.of(record)
        if execution.arn != arn or names.caller_of(req).region not in {
            None,
            execution.target.region,
        }:
            raise executions.not_found(arn)
        note(req, function=record.function, invocation_id=record.id)
        return execution


def _has_data(req: Request) -> bool:
    return req.get_param_as_bool("IncludeExecutionData", default=True)
