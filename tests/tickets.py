"""Tickets as tests of their steps take, note and end them."""

from typing import Any

from runtime.function import function
from runtime.invocation import Invocation, Status
from runtime.message import encode
from runtime.policy import DeadLetterReason
from runtime.store import claims, lifecycle
from runtime.store.claims import Ticket
from runtime.store.lifecycle import Accepting, Ended, Finish
from tests.store_bench import (
    ERROR,
    QUEUE,
    RETENTION,
    Bench,
    an_invocation,
)


@function
def f(number: int) -> int:
    """Only lend a signature to messages."""
    return number


def ours(invocation: Invocation) -> bytes:
    """Return the message that web writes."""
    return encode(invocation, f.payload)


def accept(bench: Bench, *, delay: float = 0.0, name: str = "f") -> str:
    invocation = an_invocation(
        f"web-{next(bench._numbers)}", name, delay=delay, payload=b'{"number":1}'
    )
    answer = bench.run(lifecycle.accept(invocation, ours(invocation)))
    assert answer.outcome is Accepting.ACCEPTED
    return invocation.id


def claim(bench: Bench, worker: str = "w1", *, room: int = 100) -> list[Ticket]:
    claimed = bench.run(claims.claim(worker, queues=[QUEUE], room=room))
    assert claimed.messages == ()
    return list(claimed.tickets)


def claim_one(bench: Bench, worker: str = "w1") -> Ticket:
    (ticket,) = claim(bench, worker, room=1)
    return ticket


def note(bench: Bench, *tickets: Ticket, seconds: float = 0.05) -> Any:
    worker = tickets[0].held.worker
    return bench.run(claims.note_begun(worker, [(t.held.tag, t.id, seconds) for t in tickets]))


def end(ticket: Ticket, **changes: Any) -> Finish:
    told: dict[str, Any] = {
        "held": ticket.held,
        "id": ticket.id,
        "status": Status.SUCCEEDED,
        "celery_result": b"{}",
        "result": b"1",
        "ran": (0.02, 0.01),
    }
    return Finish(**(told | changes))


def failure(ticket: Ticket, **changes: Any) -> Finish:
    return end(
        ticket,
        status=Status.FAILED,
        result=None,
        error=ERROR,
        dead_letter=DeadLetterReason.PERMANENT,
        **changes,
    )


def finish(bench: Bench, *finishes: Finish) -> list[Ended | None]:
    answer = bench.run(lifecycle.finish_all(finishes, retention=RETENTION))
    assert isinstance(answer, list)
    return answer
