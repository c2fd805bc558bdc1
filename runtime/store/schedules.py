"""Steps on schedules: what is known of them, running what is due, pausing.

Who runs a schedule says which definition and due time it has found. If they are other ones by then,
nothing happens: however many schedulers look, and whenever one is killed, each time is run once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime.message import QUEUE
from runtime.store.accepting import Accepted, Offer, answer_to, arguments_of
from runtime.store.keys import SCHEDULES
from runtime.store.scripts import script
from runtime.store.step import Step, pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is known of one schedule; times are microseconds, by the clock of invocations.

    `due_at_us` is by `definition`, whatever the function says today.
    """

    definition: str | None = None
    due_at_us: int | None = None
    is_paused: bool = False
    last_run_at_us: int | None = None
    last_invocation_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedules:
    """What is known of all schedules, at one instant; `scale` is how fast their clock goes."""

    now_us: int
    scale: float
    fields: Mapping[bytes, bytes]

    def state(self, function: str) -> State:
        """Return what is known of a function's schedule."""

        def found(field: str) -> str | None:
            value = self.fields.get(f"{field}:{function}".encode())
            return None if value is None else value.decode()

        due, ran_at = found("due"), found("ran_at")
        return State(
            definition=found("definition"),
            due_at_us=None if due is None else int(due),
            is_paused=found("paused") is not None,
            last_run_at_us=None if ran_at is None else int(ran_at),
            last_invocation_id=found("id"),
        )


def read() -> Step[Schedules]:
    """Read what is known of all schedules."""
    return Step(
        script=script("schedules"),
        keys=(SCHEDULES,),
        parse=lambda reply: Schedules(
            now_us=int(reply[0]), scale=float(reply[1]), fields=pairs(reply[2])
        ),
    )


def plan(function: str, seen: State, *, definition: str, due_at_us: int) -> Step[bool]:
    """Note when a schedule is due; False if it is not as it was seen any more."""
    return Step(
        script=script("plan"),
        keys=(SCHEDULES,),
        arguments=(
            function,
            seen.definition or "",
            "" if seen.due_at_us is None else seen.due_at_us,
            definition,
            due_at_us,
        ),
        parse=bool,
    )


def fire(offer: Offer, function: str, seen: State, *, next_due_at_us: int) -> Step[bool]:
    """Run what is due, and note when it is due next; False if somebody else has run it."""
    return _fire(
        offer,
        (function, offer.id, seen.definition, seen.due_at_us, next_due_at_us),
        parse=lambda reply: reply != b"not due",
    )


def run_now(offer: Offer, function: str) -> Step[Accepted]:
    """Run a schedule although it is not due; its next time stays as it is."""
    return _fire(
        offer, (function, offer.id, "", "", ""), parse=lambda reply: answer_to(offer, reply)
    )


def pause(function: str) -> Step[None]:
    """Let a schedule run no more until it is resumed."""
    return Step(arguments=("HSET", SCHEDULES, f"paused:{function}", 1), parse=lambda _: None)


def resume(function: str, *, definition: str, due_at_us: int) -> Step[bool]:
    """Let a schedule run again, from the given time on; False if it was not paused."""
    return Step(
        script=script("resume"),
        keys=(SCHEDULES,),
        arguments=(function, definition, due_at_us),
        parse=bool,
    )


def _fire(offer: Offer, arguments: tuple[Any, ...], *, parse: Any) -> Step[Any]:
    return Step(
        script=script("fire"),
        keys=(QUEUE, SCHEDULES),
        arguments=(*arguments_of([offer]), *arguments),
        parse=parse,
    )
