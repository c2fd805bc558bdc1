"""A function: a handler with its name and options."""

import inspect
import re
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, ParamSpec, TypeVar, overload

from runtime import json_text
from runtime.errors import LONGEST_SECONDS, DefinitionError, InvocationError
from runtime.payload import PayloadType, schema_of
from runtime.policy import DEFAULT_BACKOFF_MAX_SECONDS, DEFAULT_BACKOFF_SECONDS, RetryPolicy
from runtime.schedule import Missed, Schedule

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_TIMEOUT_SECONDS = 300.0
ErrorTypes = type[BaseException] | tuple[type[BaseException], ...]
_TRIGGERS = ("http", "celery")
_NO_SCHEDULE = {"schedule": None, "every": None, "timezone": None, "missed": None}
_NAME = re.compile(r"(?!eyas\.|celery\.)[A-Za-z][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Function(Generic[P, R]):
    """A named unit of user code. Calling it calls the handler, so plain tests stay plain.

    `yields` is of a handler that is a generator: its result is the list of what it yields.
    """

    name: str
    handler: Callable[P, R]
    description: str
    module: str
    timeout_seconds: float
    soft_timeout_seconds: float | None
    retry_policy: RetryPolicy
    concurrency: int | None
    threads: int | None
    schedule: Schedule | None
    payload: PayloadType
    result_schema: dict[str, Any]
    is_async: bool
    yields: bool
    on: tuple[str, ...] = ()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.handler(*args, **kwargs)

    @property
    def triggers(self) -> tuple[str, ...]:
        """What may cause an invocation."""
        event = ("event",) if self.on else ()
        return (*_TRIGGERS, *event, *(("schedule",) if self.schedule else ()))

    def to_json(self) -> dict[str, Any]:
        """Return the function as lists show it: durations in seconds, None for no limit."""
        policy = self.retry_policy
        return {
            "name": self.name,
            "description": self.description,
            "triggers": self.triggers,
            "on": self.on,
            "timeout": self.timeout_seconds,
            "soft_timeout": self.soft_timeout_seconds,
            "retries": policy.retries,
            "backoff": policy.backoff_seconds,
            "backoff_max": policy.backoff_max_seconds,
            "max_age": policy.max_age_seconds,
            "concurrency": self.concurrency,
            "threads": self.threads,
            **_NO_SCHEDULE,
            **(self.schedule.to_json() if self.schedule else {}),
            "module": self.module,
        }

    def is_subscribed_to(self, event_type: str) -> bool:
        """Tell whether events of this type are for this function; a `*` ends a prefix."""
        return any(
            event_type.startswith(one[:-1]) if one.endswith("*") else event_type == one
            for one in self.on
        )

    def schemas(self) -> dict[str, Any]:
        """Return the JSON Schemas (draft 2020-12) of payload and result."""
        return {"payload_schema": self.payload.schema(), "result_schema": self.result_schema}


@overload
def function(handler: Callable[P, R], /) -> Function[P, R]: ...
@overload
def function(
    *,
    name: str | None = None,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
    soft_timeout: float | None = None,
    retries: int = 0,
    backoff: float = DEFAULT_BACKOFF_SECONDS,
    backoff_max: float = DEFAULT_BACKOFF_MAX_SECONDS,
    retry_on: ErrorTypes = Exception,
    max_age: float | None = None,
    concurrency: int | None = None,
    threads: int | None = None,
    on: str | tuple[str, ...] = (),
    schedule: str | None = None,
    every: float | None = None,
    timezone: str | None = None,
    missed: Literal["latest", "skip"] = "latest",
    schedule_payload: Any = None,
) -> Callable[[Callable[P, R]], Function[P, R]]: ...
def function(
    handler: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
    soft_timeout: float | None = None,
    retries: int = 0,
    backoff: float = DEFAULT_BACKOFF_SECONDS,
    backoff_max: float = DEFAULT_BACKOFF_MAX_SECONDS,
    retry_on: ErrorTypes = Exception,
    max_age: float | None = None,
    concurrency: int | None = None,
    threads: int | None = None,
    on: str | tuple[str, ...] = (),
    schedule: str | None = None,
    every: float | None = None,
    timezone: str | None = None,
    missed: Literal["latest", "skip"] = "latest",
    schedule_payload: Any = None,
) -> Function[P, R] | Callable[[Callable[P, R]], Function[P, R]]:
    """Mark a callable as a function: `@function` or `@function(timeout=30, retries=2)`.

    - `name`: its name in routes, tasks and logs (default: the callable's own name).
    - `timeout`: seconds after which an attempt is stopped.
    - `soft_timeout`: seconds after which `SoftTimeoutError` is raised in the handler.
    - `retries`: how often it is run again after a function error.
    - `backoff`, `backoff_max`: seconds; see `runtime.policy.RetryPolicy`.
    - `retry_on`: the exceptions after which it is run again; `PermanentError` never is.
    - `max_age`: seconds after being accepted when no attempt is started any more.
    - `concurrency`: how many attempts run at the same time, over all workers.
    - `threads`: how many a worker runs at the same time in threads of one process, instead of one
      in each of its processes: for handlers that mostly wait. `async def` handlers need none.
    - `on`: types of CloudEvents that it is invoked for; one that ends with `*` is a prefix.
    - `schedule`: a cron expression; it runs by itself at its times, in `timezone` (default: UTC).
    - `every`: seconds; it runs by itself every so many.
    - `missed`: of times that passed while no scheduler ran, run the latest, or skip all.
    - `schedule_payload`: the payload of such runs (default: `{}`).

    Raises `DefinitionError` if the name, the options or the signature cannot work.
    """

    def mark(handler: Callable[P, R]) -> Function[P, R]:
        chosen = _name_of(handler, name)
        _check_options(
            chosen,
            timeout=timeout,
            soft_timeout=soft_timeout,
            retries=retries,
            backoff=backoff,
            backoff_max=backoff_max,
            max_age=max_age,
            concurrency=concurrency,
            threads=threads,
        )
        if threads is not None:
            _check_threads(chosen, handler, soft_timeout=soft_timeout)
        payload = PayloadType.of(chosen, handler)
        return Function(
            name=chosen,
            handler=handler,
            description=inspect.getdoc(handler) or "",
            module=handler.__module__,
            timeout_seconds=float(timeout),
            soft_timeout_seconds=soft_timeout,
            retry_policy=RetryPolicy(
                retries=retries,
                backoff_seconds=backoff,
                backoff_max_seconds=backoff_max,
                retry_on=_error_types(chosen, retry_on),
                max_age_seconds=max_age,
            ),
            concurrency=concurrency,
            threads=threads,
            schedule=_schedule_of(
                chosen,
                payload,
                schedule_payload,
                schedule=schedule,
                every=every,
                timezone=timezone,
                missed=missed,
            ),
            payload=payload,
            result_schema=schema_of(_result_type(handler)),
            is_async=_is_async(handler),
            yields=_yields(handler),
            on=_event_types(chosen, on),
        )

    return mark if handler is None else mark(handler)


def _name_of(handler: Any, name: str | None) -> str:
    if not callable(handler):
        raise DefinitionError(f"@function takes a callable, not {handler!r}")
    chosen = name if name is not None else getattr(handler, "__name__", "")
    if not _NAME.fullmatch(chosen):
        raise DefinitionError(
            f"{chosen!r} cannot be a function's name: expected a letter, then up to 63 letters, "
            "digits, dots, underscores or hyphens, and not beginning with eyas. or celery."
        )
    return chosen


def _is_async(handler: Any) -> bool:
    return inspect.iscoroutinefunction(handler) or inspect.isasyncgenfunction(handler)


def _yields(handler: Any) -> bool:
    return inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler)


def _result_type(handler: Any) -> Any:
    """Return the type of the result: of a generator, a list of what it says that it yields."""
    hint = typing.get_type_hints(handler).get("return", Any)
    if not _yields(handler):
        return hint
    yielded = typing.get_args(hint)
    return list[yielded[0]] if yielded else list[Any]  # type: ignore[valid-type]


def _check_options(chosen: str, *, timeout: Any, soft_timeout: Any, **options: Any) -> None:
    problems = [
        f"{option}={value!r}, expected {expected}"
        for option, value, expected in (
            ("timeout", timeout, "seconds above 0"),
            ("soft_timeout", soft_timeout, "seconds above 0"),
            ("max_age", options["max_age"], "seconds above 0"),
        )
        if not (value is None and option != "timeout") and not _is_number(value, above=0)
    ]
    problems += [
        f"{option}={options[option]!r}, expected seconds from 0"
        for option in ("backoff", "backoff_max")
        if not _is_number(options[option], above=-1) or options[option] < 0
    ]
    retries = options["retries"]
    if not _is_count(retries, least=0):
        problems.append(f"retries={retries!r}, expected a whole number from 0")
    problems += [
        f"{option}={options[option]!r}, expected a whole number from 1"
        for option in ("concurrency", "threads")
        if options[option] is not None and not _is_count(options[option], least=1)
    ]
    if not problems and soft_timeout is not None and soft_timeout >= timeout:
        problems.append(f"soft_timeout={soft_timeout!r}, expected less than timeout={timeout!r}")
    if problems:
        raise DefinitionError(f"function {chosen!r}: {'; '.join(problems)}")


def _check_threads(chosen: str, handler: Any, *, soft_timeout: float | None) -> None:
    if _is_async(handler):
        raise DefinitionError(
            f"function {chosen!r}: threads= is for blocking handlers; `async def` ones share an "
            "event loop, as many at a time as EYAS_ASYNC_ATTEMPTS says"
        )
    if soft_timeout is not None:
        raise DefinitionError(
            f"function {chosen!r}: a handler in a thread cannot be interrupted by soft_timeout="
        )


def _schedule_of(
    chosen: str, payload_type: PayloadType, payload: Any, **options: Any
) -> Schedule | None:
    try:
        raw = b"{}" if payload is None else json_text.encode(payload)
        found = Schedule.of(payload=raw, **options)
        if found is not None:
            payload_type.check(raw)
    except DefinitionError as error:
        raise DefinitionError(f"function {chosen!r}: {error}") from None
    except json_text.NotJSONError as error:
        raise DefinitionError(f"function {chosen!r}: schedule_payload=: {error}") from None
    except InvocationError as error:
        raise DefinitionError(
            f"function {chosen!r} cannot run by itself: {error}. Give its parameters defaults, or "
            "give it a schedule_payload="
        ) from None
    if found is None and (payload is not None or options["missed"] != Missed.LATEST):
        raise DefinitionError(
            f"function {chosen!r}: schedule_payload= and missed= are for schedule= or every="
        )
    return found


def _is_number(value: Any, *, above: float) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and above < value <= LONGEST_SECONDS
    )


def _is_count(value: Any, *, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _error_types(chosen: str, retry_on: Any) -> tuple[type[BaseException], ...]:
    types = retry_on if isinstance(retry_on, tuple) else (retry_on,)
    if not all(isinstance(one, type) and issubclass(one, BaseException) for one in types):
        raise DefinitionError(
            f"function {chosen!r}: retry_on={retry_on!r}, expected an exception class, or a tuple "
            "of such"
        )
    return types


def _event_types(chosen: str, on: Any) -> tuple[str, ...]:
    types = on if isinstance(on, tuple) else (on,)
    for one in types:
        # Whoever writes another pattern means something that would silently never happen.
        if not isinstance(one, str) or not one or "*" in one[:-1]:
            raise DefinitionError(
                f"function {chosen!r}: on={on!r}, expected the type of an event, such as "
                "'com.example.created', or the beginning of types, such as 'com.example.*', or a "
                "tuple of such"
            )
    return tuple(dict.fromkeys(types))
