"""A function: a handler with its name and options."""

import inspect
import re
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar, overload

from runtime.errors import DefinitionError
from runtime.payload import PayloadType, schema_of

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_TIMEOUT_SECONDS = 300.0
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Function(Generic[P, R]):
    """A named unit of user code. Calling it calls the handler, so plain tests stay plain."""

    name: str
    handler: Callable[P, R]
    description: str
    module: str
    timeout_seconds: float
    payload: PayloadType
    result_schema: dict[str, Any]
    is_async: bool

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.handler(*args, **kwargs)


@overload
def function(handler: Callable[P, R], /) -> Function[P, R]: ...
@overload
def function(
    *, name: str | None = None, timeout: float = DEFAULT_TIMEOUT_SECONDS
) -> Callable[[Callable[P, R]], Function[P, R]]: ...
def function(
    handler: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
) -> Function[P, R] | Callable[[Callable[P, R]], Function[P, R]]:
    """Mark a callable as a function: `@function` or `@function(timeout=30)`.

    `name` is its name in routes, tasks and logs (default: the callable's own name). `timeout` is
    the number of seconds after which an attempt is stopped. Raises `DefinitionError` if the name,
    the options or the signature cannot work.
    """

    def mark(handler: Callable[P, R]) -> Function[P, R]:
        return _define(handler, name=name, timeout_seconds=timeout)

    return mark if handler is None else mark(handler)


def _define(handler: Callable[P, R], *, name: str | None, timeout_seconds: float) -> Function[P, R]:
    if not callable(handler):
        raise DefinitionError(f"@function takes a callable, not {handler!r}")
    chosen = name if name is not None else getattr(handler, "__name__", "")
    if not _NAME.fullmatch(chosen):
        raise DefinitionError(
            f"{chosen!r} cannot be a function's name: expected a letter, then up to 63 letters, "
            "digits, underscores or hyphens"
        )
    if not (isinstance(timeout_seconds, int | float) and 0 < timeout_seconds < float("inf")):
        raise DefinitionError(
            f"function {chosen!r}: timeout={timeout_seconds!r}, expected seconds above 0"
        )
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        raise DefinitionError(f"function {chosen!r} yields: a handler returns one JSON value")
    return Function(
        name=chosen,
        handler=handler,
        description=inspect.getdoc(handler) or "",
        module=handler.__module__,
        timeout_seconds=float(timeout_seconds),
        payload=PayloadType.of(chosen, handler),
        result_schema=schema_of(typing.get_type_hints(handler).get("return", Any)),
        is_async=inspect.iscoroutinefunction(handler),
    )
