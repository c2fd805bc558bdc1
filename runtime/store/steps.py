"""Every step that the store can take, as values: what to send, and how to read the answer.

Building a step does no I/O. A blocking client (worker, CLI) and an asyncio client (web) carry out
the same steps; see `runtime.store.client`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Generic, TypeVar

from runtime.invocation import Invocation, Record, Status
from runtime.message import QUEUE
from runtime.store import keys

T = TypeVar("T")
MAX_ATTEMPTS = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Generic[T]):
    """One atomic exchange with the broker: a Lua script, or one plain command."""

    parse: Callable[[Any], T]
    script: str | None = None
    keys: tuple[str, ...] = ()
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The answer to `start`. Do not run the handler if the invocation is finished already."""

    is_finished: bool
    attempt: int
    payload: bytes
    accepted_at_us: int
    started_at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The answer to `finish`; times are None if the invocation never started or has no record."""

    attempt: int
    accepted_at_us: int | None
    started_at_us: int | None
    finished_at_us: int
    request_id: str | None


def accept(invocation: Invocation, message: bytes) -> Step[bool]:
    """Write the record and queue the message; False if the id is taken."""
    return Step(
        script=_lua("accept"),
        keys=(
            keys.invocation(invocation.id),
            QUEUE,
            keys.counts(invocation.function),
        ),
        arguments=(message, *_fields(invocation)),
        parse=bool,
    )


def start(invocation: Invocation, *, worker: str) -> Step[Started]:
    """Start an attempt; `invocation` becomes the record if the broker has none yet."""
    return Step(
        script=_lua("start"),
        keys=(keys.invocation(invocation.id), keys.counts(invocation.function)),
        arguments=(worker, "status", "queued", *_fields(invocation)),
        parse=_started,
    )


def finish(
    invocation_id: str,
    *,
    function: str,
    attempt: int,
    status: Status,
    celery_result: bytes,
    ttl_seconds: int,
    result: bytes | None = None,
    error: bytes | None = None,
) -> Step[Finished | None]:
    """Write a terminal status, if `attempt` (0: any) is the latest one and not finished yet.

    Exactly one of `result` and `error` is given, as JSON text. `celery_result` is what
    `AsyncResult` reads. The answer is None if nothing was changed.
    """
    outcome = ("result", result) if result is not None else ("error", error or b"null")
    return Step(
        script=_lua("finish"),
        keys=(
            keys.invocation(invocation_id),
            keys.counts(function),
            keys.celery_result(invocation_id),
        ),
        arguments=(attempt, status.value, ttl_seconds, celery_result, *outcome),
        parse=_finished,
    )


def read(invocation_id: str) -> Step[Record | None]:
    """Read a record; None if there is none."""
    return Step(
        arguments=("HGETALL", keys.invocation(invocation_id)),
        parse=lambda reply: _record(invocation_id, reply),
    )


def read_counts(function: str) -> Step[dict[str, int]]:
    """Read how many invocations were accepted, and how many have each status."""
    return Step(arguments=("HGETALL", keys.counts(function)), parse=_counts)


def sign_of_life(worker: str, *, lapses_after_seconds: float) -> Step[int]:
    """Say that a worker consumes; 0 seconds says that it stops."""
    return Step(
        script=_lua("alive"),
        keys=(keys.WORKERS,),
        arguments=(worker, lapses_after_seconds),
        parse=int,
    )


def count_workers() -> Step[int]:
    """Count the workers that gave a sign of life lately."""
    return Step(script=_lua("alive"), keys=(keys.WORKERS,), arguments=("", 0), parse=int)


@cache
def _lua(name: str) -> str:
    return resources.files("runtime.store").joinpath(f"{name}.lua").read_text(encoding="utf-8")


def _fields(invocation: Invocation) -> tuple[str | bytes | int, ...]:
    fields: tuple[str | bytes | int, ...] = (
        "function",
        invocation.function,
        "trigger",
        invocation.trigger,
        "payload",
        invocation.payload,
        "max_attempts",
        MAX_ATTEMPTS,
    )
    if invocation.request_id is not None:
        fields = (*fields, "request_id", invocation.request_id)
    return fields


def _started(reply: list[Any]) -> Started:
    _, attempt, payload, accepted_at, started_at = reply
    is_finished = started_at == b""
    return Started(
        is_finished=is_finished,
        attempt=int(attempt),
        payload=payload,
        accepted_at_us=0 if is_finished else int(accepted_at),
        started_at_us=0 if is_finished else int(started_at),
    )


def _finished(reply: list[Any]) -> Finished | None:
    if reply[0] == 0:
        return None
    _, attempt, accepted_at, started_at, finished_at, request_id = reply
    return Finished(
        attempt=attempt,
        accepted_at_us=int(accepted_at) if accepted_at else None,
        started_at_us=int(started_at) if started_at else None,
        finished_at_us=int(finished_at),
        request_id=request_id.decode() if request_id else None,
    )


def _record(invocation_id: str, reply: dict[bytes, bytes]) -> Record | None:
    if not reply:
        return None

    def time_of(field: bytes) -> int | None:
        return int(reply[field]) if field in reply else None

    return Record(
        id=invocation_id,
        function=reply[b"function"].decode(),
        status=Status(reply[b"status"].decode()),
        trigger=reply[b"trigger"].decode(),
        payload=reply[b"payload"],
        attempt=int(reply[b"attempt"]),
        max_attempts=int(reply[b"max_attempts"]),
        accepted_at_us=int(reply[b"accepted_at"]),
        started_at_us=time_of(b"started_at"),
        finished_at_us=time_of(b"finished_at"),
        result=reply.get(b"result"),
        error=reply.get(b"error"),
    )


def _counts(reply: dict[bytes, bytes]) -> dict[str, int]:
    counted = {name.decode(): int(count) for name, count in reply.items()}
    return {name: counted.get(name, 0) for name in ("accepted", *Status)}
