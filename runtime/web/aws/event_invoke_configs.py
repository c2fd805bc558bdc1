"""The operations on what becomes of a function's asynchronous calls.

A configuration is of the function's one version, and for calls that come after it: an invocation
that was accepted keeps what was said then.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import falcon.asgi
import msgspec

from runtime.event_invoke import (
    LONGEST_AGE_SECONDS,
    MOST_RETRIES,
    SHORTEST_AGE_SECONDS,
    EventInvokeConfig,
)
from runtime.lambda_context import LATEST
from runtime.registry import Registry
from runtime.settings import Settings
from runtime.store import AsyncStore, function_configs
from runtime.web.aws import names
from runtime.web.aws.errors import LambdaError
from runtime.web.aws.names import Target
from runtime.web.aws.paging import max_items
from runtime.web.aws.requests import check_range, read_object
from runtime.web.exchange import Request, reply
from runtime.webhook import InvalidTargetError, is_url
from runtime.webhook import Target as Webhook

_PAGE = 50
_INVALID = "InvalidParameterValueException"


class _End(msgspec.Struct, frozen=True, rename="pascal"):
    destination: str | None = None


class _DestinationConfig(msgspec.Struct, frozen=True, rename="pascal"):
    on_success: _End | None = None
    on_failure: _End | None = None


class _Given(msgspec.Struct, frozen=True, rename="pascal"):
    """The body of a request."""

    maximum_retry_attempts: int | None = None
    maximum_event_age_in_seconds: int | None = None
    destination_config: _DestinationConfig | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventInvokeConfigs:
    """Puts, shows and deletes them."""

    registry: Registry
    store: AsyncStore
    settings: Settings

    async def put(
        self, req: Request, resp: falcon.asgi.Response, parameters: Mapping[str, str]
    ) -> None:
        """`PutFunctionEventInvokeConfig`: what is not said is AWS's way again."""
        target = names.target_in(req, parameters)
        given = await _read(req)
        self._check_is_there(target)
        config = self._changed(EventInvokeConfig(), given, target)
        await self.store.run(function_configs.put_event_invoke(target.name, config))
        reply(resp, 200, _shown(config, target))

    async def update(
        self, req: Request, resp: falcon.asgi.Response, parameters: Mapping[str, str]
    ) -> None:
        """`UpdateFunctionEventInvokeConfig`: what is not said stays as it is."""
        target = names.target_in(req, parameters)
        given = await _read(req)
        self._check_is_there(target)
        is_done = False
        while not is_done:  # another one may be changing it
            before = await self._find(target)
            config = self._changed(before, given, target)
            is_done = await self.store.run(
                function_configs.replace_event_invoke(target.name, before, config)
            )
        reply(resp, 200, _shown(config, target))

    async def get(
        self, req: Request, resp: falcon.asgi.Response, parameters: Mapping[str, str]
    ) -> None:
        """`GetFunctionEventInvokeConfig`."""
        target = names.target_in(req, parameters)
        reply(resp, 200, _shown(await self._find(target), target))

    async def delete(
        self, req: Request, resp: falcon.asgi.Response, parameters: Mapping[str, str]
    ) -> None:
        """`DeleteFunctionEventInvokeConfig`: AWS's way again."""
        target = names.target_in(req, parameters)
        await self._find(target)
        await self.store.run(function_configs.delete_event_invoke(target.name))
        resp.status = 204

    async def list_all(
        self, req: Request, resp: falcon.asgi.Response, parameters: Mapping[str, str]
    ) -> None:
        """`ListFunctionEventInvokeConfigs`: there is one at most, of the one version."""
        max_items(req, default=_PAGE, most=_PAGE)
        target = names.target_in(req, parameters)
        self._check_is_there(target)
        config = await self.store.run(function_configs.read_event_invoke(target.name))
        is_over = config is None or (req.get_param("Marker") or "") >= LATEST
        shown = [] if config is None or is_over else [_shown(config, target)]
        reply(resp, 200, {"FunctionEventInvokeConfigs": shown})

    def _check_is_there(self, target: Target) -> None:
        if names.find(target, self.registry) is None:
            raise LambdaError("ResourceNotFoundException", "The function doesn't exist.")

    async def _find(self, target: Target) -> EventInvokeConfig:
        config = None
        if names.find(target, self.registry) is not None:
            config = await self.store.run(function_configs.read_event_invoke(target.name))
        if config is None:
            arn = target.arn if target.qualifier else target.latest_arn
            raise LambdaError(
                "ResourceNotFoundException", f"The function {arn} doesn't have an EventInvokeConfig"
            )
        return config

    def _changed(
        self, config: EventInvokeConfig, given: _Given, target: Target
    ) -> EventInvokeConfig:
        """Return a configuration with what is given; destinations are given together."""
        changes: dict[str, Any] = {"modified_at_us": time.time_ns() // 1000}
        if given.maximum_retry_attempts is not None:
            changes["retries"] = given.maximum_retry_attempts
        if given.maximum_event_age_in_seconds is not None:
            changes["max_age_seconds"] = given.maximum_event_age_in_seconds
        if given.destination_config is not None:
            changes["on_success"] = self._destination(given.destination_config.on_success, target)
            changes["on_failure"] = self._destination(given.destination_config.on_failure, target)
        return msgspec.structs.replace(config, **changes)

    def _destination(self, end: _End | None, target: Target) -> str | None:
        """Return where to tell of an end, if anywhere; raises `LambdaError`."""
        given = end.destination if end is not None else None
        if not given:
            return None
        if is_url(given):
            try:
                Webhook.of(given).check(allowed_hosts=self.settings.callback_hosts)
            except InvalidTargetError as error:
                raise _invalid(given, str(error)) from None
            return given
        named = names.target_of_arn(given)
        if named is None:
            raise _invalid(given, "Eyas has functions and URLs (http://, https://) only.")
        if names.find(named, self.registry) is None:
            raise _invalid(given, f"There is no function {named.name}.")
        if named.name == target.name:
            raise LambdaError(
                _INVALID, "You can't specify the function as a destination for itself."
            )
        return given


async def _read(req: Request) -> _Given:
    given = await read_object(req, _Given)
    if given == _Given():
        raise LambdaError(
            _INVALID, "You must specify at least one of error handling or destination setting."
        )
    if given.maximum_retry_attempts is not None:
        check_range(
            given.maximum_retry_attempts, "maximumRetryAttempts", least=0, most=MOST_RETRIES
        )
    if given.maximum_event_age_in_seconds is not None:
        check_range(
            given.maximum_event_age_in_seconds,
            "maximumEventAgeInSeconds",
            least=SHORTEST_AGE_SECONDS,
            most=LONGEST_AGE_SECONDS,
        )
    return given


def _invalid(given: str, hint: str) -> LambdaError:
    return LambdaError(_INVALID, f"The destination ARN {given} is invalid. {hint}")


def _shown(config: EventInvokeConfig, target: Target) -> dict[str, Any]:
    """Return AWS's FunctionEventInvokeConfig; its time is in seconds since the epoch."""
    shown: dict[str, Any] = {
        "LastModified": config.modified_at_us // 1000 / 1000,
        "FunctionArn": target.latest_arn,
        "DestinationConfig": {
            "OnSuccess": _end(config.on_success),
            "OnFailure": _end(config.on_failure),
        },
    }
    if config.retries is not None:
        shown["MaximumRetryAttempts"] = config.retries
    if config.max_age_seconds is not None:
        shown["MaximumEventAgeInSeconds"] = config.max_age_seconds
    return shown


def _end(destination: str | None) -> dict[str, str]:
    return {"Destination": destination} if destination else {}
