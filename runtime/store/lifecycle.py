"""Steps of an invocation's life, from being accepted to a terminal status."""

import enum
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from runtime.invocation import Status
from runtime.outcome import FunctionError
from runtime.policy import DeadLetterReason
from runtime.settings import Retention
from runtime.store import keys, telling
from runtime.store.accepting import Accepted, Accepting, accept
from runtime.store.claims import Claim
from runtime.store.scripts import script
from runtime.store.step import Step, microseconds

__all__ = [
    "Accepted",
    "Accepting",
    "Cancelling",
    "Ended",
    "Started",
    "ToBeCancelled",
    "Verdict",
    "accept",
    "cancel",
    "finish",
    "progress",
    "retry",
    "start",
]

_TO_BE_CANCELLED = 2


class Verdict(enum.StrEnum):
    """Whether an attempt may run; `start.lua` says what each one means."""

    RUN = "run"
    FINISHED = "finished"
    DUPLICATE = "duplicate"
    STALE = "stale"
    PARKED = "parked"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    POISON = "poison"
    BARRED = "barred"


class Cancelling(enum.StrEnum):
    """What came of `cancel`."""

    CANCELLED = "cancelled"
    STOPPING = "stopping"
    RUNNING = "running"
    FINISHED = "finished"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The answer to `start`. Only with the verdict `run` is the attempt started.

    `ages_since_us` is when it was accepted, or redriven. `policy` is the invocation's own, as
    `RetryPolicy.encode` has written it, or empty.
    """

    verdict: Verdict
    attempt: int
    payload: bytes
    ages_since_us: int
    started_at_us: int
    failures: int
    policy: bytes = b""


@dataclass(frozen=True, slots=True)
class ToBeCancelled:
    """The answer to `retry` for an invocation that was cancelled while it ran."""


class Ended(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The answer to `finish` and `retry`; `started_at_us` is None if no attempt was started."""

    attempt: int
    accepted_at_us: int
    started_at_us: int | None
    ended_at_us: int
    request_id: str | None


def start(
    held: Claim, invocation_id: str, *, concurrency: int | None, max_deliveries: int
) -> Step[Started]:
    """Start an attempt, if it may run."""
    return Step(
        script=script("start"),
        keys=(keys.invocation(invocation_id),),
        arguments=(held.worker, held.tag, invocation_id, concurrency or 0, max_deliveries),
        parse=lambda reply: Started(
            verdict=Verdict(reply[0].decode()),
            attempt=reply[1],
            payload=reply[2],
            ages_since_us=reply[3],
            started_at_us=reply[4],
            failures=reply[5],
            policy=reply[6],
        ),
    )


class Finish(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What becomes of one invocation: a terminal status.

    Exactly one of `result` and `error` is given, as JSON text. `celery_result` is what
    `AsyncResult` reads. With `keeps_claim` the message is still to be acknowledged, or comes again.
    `ran` says of a fresh invocation how many seconds ago its attempt began, and ended. What tells
    of the end goes on with the trace of `trace_parent`, or of the message.
    """

    held: Claim
    id: str
    status: Status
    celery_result: bytes
    result: bytes | None = None
    error: bytes | None = None
    dead_letter: DeadLetterReason | None = None
    keeps_claim: bool = False
    ran: tuple[float, float] | None = None
    trace_parent: str = ""


def finish(
    held: Claim,
    invocation_id: str,
    *,
    status: Status,
    celery_result: bytes,
    retention: Retention,
    result: bytes | None = None,
    error: bytes | None = None,
    dead_letter: DeadLetterReason | None = None,
    keeps_claim: bool = False,
) -> Step[Ended | None]:
    """`finish_all`, of one invocation."""
    finish = Finish(
        held=held,
        id=invocation_id,
        status=status,
        celery_result=celery_result,
        result=result,
        error=error,
        dead_letter=dead_letter,
        keeps_claim=keeps_claim,
    )
    step = finish_all([finish], retention=retention)
    return Step(
        script=step.script, arguments=step.arguments, parse=lambda reply: step.parse(reply)[0]
    )


def finish_all(finishes: Sequence[Finish], *, retention: Retention) -> Step[list[Ended | None]]:
    """Write terminal statuses and acknowledge the messages; all by one worker.

    For each the answer is None if its claim is not held.
    """
    each: list[Any] = []
    for one in finishes:
        field, value = ("error", one.error or b"null")
        if one.result is not None:
            field, value = "result", one.result
        began, ended = one.ran or (None, None)
        each += (
            one.held.tag,
            one.id,
            one.status.value,
            one.celery_result,
            one.dead_letter.value if one.dead_letter is not None else "",
            field,
            value,
            "1" if one.keeps_claim else "",
            "" if began is None else microseconds(began),
            "" if ended is None else microseconds(ended),
            one.trace_parent,
        )
    return Step(
        script=script("finish"),
        arguments=(
            finishes[0].held.worker,
            _token(),
            retention.record_seconds,
            retention.dead_letter_seconds,
            retention.id_seconds,
            *telling.arguments(),
            *each,
        ),
        parse=lambda reply: [_ended(reply[at : at + 6]) for at in range(0, len(reply), 6)],
    )


def retry(
    held: Claim,
    invocation_id: str,
    *,
    delay_seconds: float,
    error: bytes,
    celery_result: bytes,
    retention: Retention,
) -> Step[Ended | ToBeCancelled | None]:
    """End a failed attempt, and queue the invocation again after a pause.

    None if this claim does not run it.
    """
    return Step(
        script=script("retry"),
        keys=(keys.invocation(invocation_id), keys.celery_result(invocation_id)),
        arguments=(
            held.worker,
            held.tag,
            invocation_id,
            microseconds(delay_seconds),
            error,
            celery_result,
            retention.record_seconds,
            _token(),
            FunctionError.decode(error).brief(),
        ),
        parse=lambda reply: ToBeCancelled() if reply[0] == _TO_BE_CANCELLED else _ended(reply),
    )


def progress(held: Claim, invocation_id: str, *, report: bytes) -> Step[bool]:
    """Note how far a running attempt is; False if this claim does not run it."""
    return Step(
        script=script("progress"),
        keys=(keys.invocation(invocation_id),),
        arguments=(held.worker, held.tag, report),
        parse=bool,
    )


def cancel(
    invocation_id: str,
    *,
    error: bytes,
    celery_result: bytes,
    retention: Retention,
    stop_running: bool = True,
    remember_unknown_seconds: int = 0,
) -> Step[Cancelling]:
    """Cancel an invocation. One that runs is stopped by its worker, soon."""
    return Step(
        script=script("cancel"),
        keys=(keys.invocation(invocation_id), keys.celery_result(invocation_id)),
        arguments=(
            invocation_id,
            error,
            celery_result,
            retention.record_seconds,
            retention.id_seconds,
            remember_unknown_seconds,
            int(stop_running),
            *telling.arguments(),
        ),
        parse=lambda reply: Cancelling(reply.decode()),
    )


def _token() -> str:
    """Return what tells a request that is sent again, after a lost answer, from another one."""
    return secrets.token_hex(8)


def _ended(reply: list[Any]) -> Ended | None:
    if reply[0] == 0:
        return None
    _, attempt, accepted_at, started_at, ended_at, request_id = reply
    return Ended(
        attempt=attempt,
        accepted_at_us=accepted_at,
        started_at_us=started_at or None,
        ended_at_us=ended_at,
        request_id=request_id.decode() if request_id else None,
    )
