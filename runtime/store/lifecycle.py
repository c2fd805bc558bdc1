"""Steps of an invocation's life, from being accepted to a terminal status."""

import enum
import secrets
from dataclasses import dataclass
from typing import Any

from runtime.invocation import Status
from runtime.policy import DeadLetterReason
from runtime.settings import Retention
from runtime.store import keys
from runtime.store.accepting import Accepted, Accepting, accept
from runtime.store.claims import Claim
from runtime.store.step import Step, microseconds, script

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


class Cancelling(enum.StrEnum):
    """What came of `cancel`."""

    CANCELLED = "cancelled"
    STOPPING = "stopping"
    RUNNING = "running"
    FINISHED = "finished"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The answer to `start`. Only with the verdict `run` is the attempt started."""

    verdict: Verdict
    attempt: int
    payload: bytes
    accepted_at_us: int
    started_at_us: int
    failures: int


@dataclass(frozen=True, slots=True)
class ToBeCancelled:
    """The answer to `retry` for an invocation that was cancelled while it ran."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
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
            accepted_at_us=reply[3],
            started_at_us=reply[4],
            failures=reply[5],
        ),
    )


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
    """Write a terminal status and acknowledge the message; None if the claim is not held.

    With `keeps_claim` the message is still to be acknowledged, or comes again.
    Exactly one of `result` and `error` is given, as JSON text. `celery_result` is what
    `AsyncResult` reads.
    """
    outcome = ("result", result) if result is not None else ("error", error or b"null")
    return Step(
        script=script("finish"),
        keys=(keys.invocation(invocation_id), keys.celery_result(invocation_id)),
        arguments=(
            held.worker,
            held.tag,
            invocation_id,
            status.value,
            celery_result,
            dead_letter.value if dead_letter is not None else "",
            retention.record_seconds,
            retention.dead_letter_seconds,
            retention.id_seconds,
            _token(),
            *outcome,
            int(keeps_claim),
        ),
        parse=_ended,
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
