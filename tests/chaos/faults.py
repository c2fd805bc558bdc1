"""What can be killed, in which order, and how to tell that the stack has recovered from it."""

import enum
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from time import monotonic

from runtime.testing import Stack
from tests.chaos.chaos_functions._noting import RAISED, STARTED
from tests.chaos.ledger import Entry, Ledger
from tests.chaos.load import Load, Sent
from tests.chaos.supervisor import Supervisor, is_alive, kill

_POOL_SECONDS = 30.0
_GONE_SECONDS = 10.0
_TWO_AT_ONCE = 0.15


class Fault(enum.StrEnum):
    """What a kill hits."""

    WEB = "web"
    WORKER = "worker"
    EXECUTOR = "executor"
    SCHEDULER = "scheduler"
    BROKER = "broker"
    SERVER = "broker's server"
    STACK = "whole stack"


# A deck is dealt again and again. The worker and its executores hold messages, so they are
# killed more often than the others.
_DECK = {
    Fault.WEB: 2,
    Fault.WORKER: 3,
    Fault.EXECUTOR: 3,
    Fault.SCHEDULER: 1,
    Fault.BROKER: 1,
    Fault.SERVER: 1,
    Fault.STACK: 1,
}


@dataclass(slots=True, kw_only=True)
class Kill:
    """One fault that was carried out; from `gone_at` on, nothing of what was hit was alive.

    `pool` are the executores that the worker had.
    """

    fault: Fault
    at: float
    gone_at: float
    alone: bool
    pool: frozenset[int]
    victims: frozenset[int]
    seen_sent: int
    seen_entries: int
    recovered_at: float | None = field(default=None)


def faults_of(stack: Stack) -> list[Fault]:
    """Return the faults that a stack has processes for."""
    processes = {Fault.WEB, Fault.WORKER, Fault.SCHEDULER, Fault.BROKER}
    return [f for f in Fault if f not in processes or f.value in stack.processes]


def plan(kills: int, faults: Sequence[Fault], own: random.Random) -> Iterator[tuple[Fault, ...]]:
    """Yield what to kill, one episode after the other: mostly one thing, sometimes two.

    The first kills are one of each, alone.
    """
    first = own.sample(list(faults), k=len(faults))[:kills]
    for fault in first:
        yield (fault,)
    rest = _dealt(kills - len(first), faults, own)
    while rest:
        size = 2 if own.random() < _TWO_AT_ONCE else 1
        yield tuple(rest[:size])
        rest = rest[size:]


def _dealt(kills: int, faults: Sequence[Fault], own: random.Random) -> list[Fault]:
    dealt: list[Fault] = []
    while len(dealt) < kills:
        deck = [fault for fault in faults for _ in range(_DECK[fault])]
        own.shuffle(deck)
        dealt += deck
    return dealt[:kills]


def carry_out(
    fault: Fault,
    *,
    alone: bool,
    supervisor: Supervisor,
    load: Load,
    ledger: Ledger,
    own: random.Random,
) -> Kill:
    """Kill, and start again what a supervisor would; return at once, before the recovery."""
    pool: list[int] = []
    if fault is Fault.EXECUTOR:
        supervisor.wait_for(lambda: bool(supervisor.executors()), seconds=_POOL_SECONDS)
    if fault in {Fault.EXECUTOR, Fault.WORKER, Fault.STACK}:
        pool = supervisor.executors()
    server = supervisor.children("broker") if fault is Fault.BROKER else []
    ledger.read()
    victim = _busiest(pool, ledger, own) if fault is Fault.EXECUTOR else None
    done = Kill(
        fault=fault,
        at=monotonic(),
        gone_at=inf,
        alone=alone,
        pool=frozenset(pool),
        victims=frozenset(pool if victim is None else [victim]),
        seen_sent=len(load.accepted),
        seen_entries=len(ledger.entries),
    )
    if victim is not None:
        kill([victim])
    elif fault is Fault.SERVER:
        kill(supervisor.children("broker"))
    elif fault is Fault.STACK:
        supervisor.kill(supervisor.stack.processes, children=True)
    else:
        supervisor.kill([fault.value])
    # A server ends after its parent, and answers until then.
    supervisor.wait_for(lambda: not any(map(is_alive, server)), seconds=_GONE_SECONDS)
    done.gone_at = monotonic()
    return done


def _busiest(pool: Sequence[int], ledger: Ledger, own: random.Random) -> int:
    """Choose a executor, one in the middle of an attempt if there is any."""
    busy = {entry.pid for entry in ledger.interrupted()} & set(pool)
    return own.choice(sorted(busy or pool))


def recovered_at(kill: Kill, load: Load, ledger: Ledger) -> float | None:
    """Return when the stack had recovered from a kill, or None if it has not yet.

    * a worker or executor: when a handler started in a executor that is new;
    * a scheduler: when an invocation whose handler raised after the kill started again;
    * web: when a request that was sent after the kill was answered with 202;
    * the others: when after such an answer a handler started.
    """
    ledger.read()
    sent = [s for s in load.accepted[kill.seen_sent :] if s.sent_at > kill.gone_at]
    starts = [
        e for e in ledger.entries[kill.seen_entries :] if e.what == STARTED and e.at > kill.at
    ]
    match kill.fault:
        case Fault.WORKER | Fault.EXECUTOR:
            return _earliest(e for e in starts if e.pid not in kill.pool)
        case Fault.SCHEDULER:
            return _first_retry(ledger.entries[kill.seen_entries :], kill.gone_at)
        case Fault.WEB:
            return _first_answer(sent)
        case _:
            answered_at = _first_answer(sent)
            if answered_at is None:
                return None
            return _earliest(e for e in starts if e.at > answered_at)


def _earliest(entries: Iterator[Entry]) -> float | None:
    return min((entry.at for entry in entries), default=None)


def _first_answer(sent: Sequence[Sent]) -> float | None:
    return min((s.accepted_at for s in sent if s.trigger == "http"), default=None)


def _first_retry(entries: Sequence[Entry], since: float) -> float | None:
    """Return when an invocation started that had failed since a moment."""
    failed: set[str] = set()
    for entry in entries:
        if entry.what == RAISED and entry.at > since:
            failed.add(entry.invocation_id)
        elif entry.what == STARTED and entry.invocation_id in failed:
            return entry.at
    return None
