"""The operations on how many attempts of a function may run at a time, whoever has it run."""

from collections.abc import Mapping
from dataclasses import dataclass

import falcon.asgi
import msgspec

from runtime.lambda_context import LATEST
from runtime.registry import Registry
from runtime.store import AsyncStore, function_configs, keys
from runtime.web.aws import names
from runtime.web.aws.calls import CallTerms
from runtime.web.aws.errors import LambdaError, failed_validation, throttled
from runtime.web.aws.names import Target
from runtime.web.aws.requests import check_range, read_object
from runtime.web.exchange import Request, reply
from runtime.web.invoking import Invoker

_MEMBER = "reservedConcurrentExecutions"
# An integer of AWS's model. More attempts never run.
_MOST = 2**31 - 1


class _Given(msgspec.Struct, frozen=True, rename="pascal"):
    """The body of a request."""

    reserved_concurrent_executions: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservedConcurrency:
    """Puts, shows and deletes it. Nothing is taken from what other functions may do."""

    registry: Registry
    store: AsyncStore

    async def put(
        self, req: Request, resp: falcon.asgi.Response, parameters: Mapping[str, str]
    ) -> None:
        """`PutFunctionConcurrency`; with 0, nothing of the function runs."""
        target = self._find(req, parameters)
        number = (await read_object(req, _Given)).reserved_concurrent_executions
        if number is None:
            raise failed_validation("null", _MEMBER, "not be null")
        check_range(number, _MEMBER, least=0, most=_MOST)
        await self.store.run(function_configs.reserve(target.name, number))
        reply(resp, 200, {"ReservedConcurrentExecutions": number})

    async def get(
        self, req: Request, resp: falcon.asgi.Response, parameters: Mapping[str, str]
    ) -> None:
        """`GetFunctionConcurrency`: nothing, if none is reserved."""
        target = self._find(req, parameters)
        number = await self.store.run(function_configs.read_reserved(target.name))
        reply(resp, 200, {} if number is None else {"ReservedConcurrentExecutions": number})

    async def delete(
        self, req: Request, resp: falcon.asgi.Response, parameters: Mapping[str, str]
    ) -> None:
        """`DeleteFunctionConcurrency`: only the function's own limit counts again."""
        target = self._find(req, parameters)
        await self.store.run(function_configs.reserve(target.name, None))
        resp.status = 204

    def _find(self, req: Request, parameters: Mapping[str, str]) -> Target:
        target = names.target_in(req, parameters)
        if target.qualifier is not None:
            raise LambdaError(
                "InvalidParameterValueException",
                "This operation is permitted on Lambda functions only. Aliases and versions do not "
                "support this operation. Please specify either a function name or an unqualified "
                "function ARN.",
            )
        if names.find(target, self.registry) is None:
            raise names.not_found(target._replace(qualifier=LATEST))
        return target


async def check_not_all_run(
    function: str, terms: CallTerms, payload: bytes, *, invoker: Invoker
) -> None:
    """Raise `LambdaError` if all attempts run that are reserved for a function.

    Not for a call that is repeated: it may be one of those.
    """
    used = terms.idempotency(payload or b"{}", ttl_seconds=invoker.settings.idempotency_ttl_seconds)
    key = keys.idempotency(function, used.key, scope=used.scope) if used else None
    if await invoker.store.run(function_configs.is_throttled(function, unless_used=key)):
        raise all_run()


def all_run() -> LambdaError:
    """Say that nothing more of a function may run at present."""
    return throttled("ReservedFunctionConcurrentInvocationLimitExceeded")
