"""Handing over: what is claimed for a worker as it is accepted, and what is only queued."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from runtime.invocation import IdempotencyKey, Invocation, Status
from runtime.store import claims, keys, lifecycle
from runtime.store.accepting import Offer, accept_all
from runtime.store.claims import Ticket
from runtime.store.lifecycle import Accepting, Verdict
from runtime.testing import Stack
from tests.store_bench import QUEUE, Bench, an_invocation, listening
from tests.tickets import accept, claim, claim_one, end, finish, note, ours

Receive = Callable[[], Ticket]


@pytest.fixture
def receive(bench: Bench, broker: Stack) -> Iterator[Receive]:
    """Have `w1` take messages, and listen."""
    bench.run(claims.renew("w1", consumes=True))
    with listening(broker.redis_url, bench.raw, "w1") as receive:
        yield receive


def accept_this(bench: Bench, **changes: Any) -> Invocation:
    invocation = msgspec.structs.replace(an_invocation("this", payload=b'{"number":1}'), **changes)
    answer = bench.run(lifecycle.accept(invocation, ours(invocation)))
    assert answer.outcome is Accepting.ACCEPTED
    return invocation


def is_queued(bench: Bench) -> bool:
    """Tell whether the one invocation that there is waits in the queue."""
    places = bench.raw.llen(QUEUE), bench.raw.hlen(keys.in_flight("w1"))
    assert sum(places) == 1
    return places[0] == 1


def test_a_worker_that_waits_is_given_what_a_claim_would_give(
    bench: Bench, receive: Receive
) -> None:
    accept_this(bench, request_id="r-1")

    ticket = receive()

    assert not is_queued(bench)
    with bench.raw.pipeline() as pipe:
        pipe.lpush(QUEUE, *bench.raw.hvals(keys.in_flight("w1")))
        pipe.delete(keys.in_flight("w1"))
        pipe.hdel(keys.invocation("this"), "claim")
        pipe.set("eyas:claims", 0)
        pipe.execute()
    assert msgspec.structs.replace(claim_one(bench), claimed_at_us=0) == msgspec.structs.replace(
        ticket, claimed_at_us=0
    )
    assert ticket.claimed_at_us == bench.record("this").accepted_at_us


def test_what_was_handed_over_is_run_and_finished_as_any_other(
    bench: Bench, receive: Receive
) -> None:
    accept(bench)
    quick = receive()
    (ended,) = finish(bench, end(quick))
    assert ended is not None
    accept(bench)
    slow = receive()
    assert note(bench, slow) == frozenset()
    assert bench.status(slow.id) is Status.RUNNING
    finish(bench, end(slow))

    assert [bench.record(one.id).attempt for one in (quick, slow)] == [1, 1]
    assert bench.counts() == {"accepted": 2, "succeeded": 2}
    bench.assert_conserved()


def test_only_a_worker_with_empty_hands_is_given_something(bench: Bench, receive: Receive) -> None:
    accept(bench)
    first = receive()
    second = accept(bench)

    assert [bench.raw.llen(QUEUE), bench.raw.hlen(keys.in_flight("w1"))] == [1, 1]
    finish(bench, end(first))
    third = accept(bench)  # nobody overtakes what is queued

    assert [one.id for one in claim(bench)] == [second, third]


def test_nothing_overtakes_what_has_landed(bench: Bench, receive: Receive) -> None:
    bench.raw.lpush(keys.landing("w1"), b"{}")

    accept_this(bench)

    assert is_queued(bench)


@pytest.mark.parametrize(
    "why", ["it stopped consuming", "its lease has lapsed", "it is unknown", "it has retired"]
)
def test_nothing_is_handed_to_a_worker_that_may_be_gone(
    bench: Bench, receive: Receive, why: str
) -> None:
    if why == "it stopped consuming":
        bench.run(claims.renew("w1", consumes=False))
    elif why == "its lease has lapsed":
        bench.let_lease_lapse("w1")
    elif why == "it is unknown":
        bench.raw.zrem("eyas:leases", "w1")
    else:
        bench.run(claims.retire("w1"))

    accept_this(bench)

    assert is_queued(bench)


def test_nothing_is_handed_to_a_worker_that_does_not_listen(bench: Bench, broker: Stack) -> None:
    bench.run(claims.renew("w1", consumes=True))
    with listening(broker.redis_url, bench.raw, "w1"):
        pass
    with listening(broker.redis_url, bench.raw, "w2"):
        accept_this(bench)

    assert is_queued(bench)


@pytest.mark.parametrize(
    "changes",
    [
        {"delay_seconds": 100.0},
        {"max_age_seconds": 100},
        {"policy": b"{}"},
        {"callback": "https://example.com/"},
        {"depth": 1},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_a_claim_would_not_give_out_to_be_run_at_once_is_not_handed_over(
    bench: Bench, receive: Receive, changes: dict[str, Any]
) -> None:
    accept_this(bench, **changes)

    assert bench.raw.hlen(keys.in_flight("w1")) == 0
    assert bench.raw.llen(QUEUE) + bench.raw.zcard("eyas:delayed") == 1


@pytest.mark.parametrize("key", ["eyas:concurrency", "eyas:reserved_concurrency"])
def test_what_needs_a_slot_is_not_handed_over(bench: Bench, receive: Receive, key: str) -> None:
    bench.raw.hset(key, "f", 3)

    accept_this(bench)

    assert is_queued(bench)


def test_several_are_queued(bench: Bench, receive: Receive) -> None:
    members = [
        (one, ours(one)) for one in (an_invocation(f"batch-{number}") for number in range(2))
    ]
    bench.run(accept_all([Offer.of(members)]))
    assert bench.raw.llen(QUEUE) == 2
    assert len(claim(bench)) == 2
    bench.run(claims.requeue_unstarted("w1"))
    bench.raw.delete(QUEUE)

    bench.run(
        accept_all(
            [Offer.of([(one, ours(one))]) for one in (an_invocation("a"), an_invocation("b"))]
        )
    )

    assert bench.queued_ids() == ["a", "b"]


def test_a_record_alone_is_not_handed_over(bench: Bench, receive: Receive) -> None:
    bench.run(lifecycle.accept(an_invocation("record"), b""))

    assert bench.raw.hlen(keys.in_flight("w1")) == bench.raw.llen(QUEUE) == 0


def test_a_key_is_answered_as_ever(bench: Bench, receive: Receive) -> None:
    idempotency = IdempotencyKey(key="k", digest="d", ttl_seconds=60)
    outcomes = []
    for name in ("first", "second"):
        invocation = an_invocation(name)
        answer = bench.run(lifecycle.accept(invocation, ours(invocation), idempotency=idempotency))
        outcomes.append((answer.outcome, answer.id))

    assert outcomes == [(Accepting.ACCEPTED, "first"), (Accepting.REPLAYED, "first")]
    assert receive().id == "first"


@pytest.mark.parametrize("more_bytes", [0, 1])
def test_a_payload_that_is_too_large_to_be_passed_around_stays_in_the_record(
    bench: Bench, receive: Receive, more_bytes: int
) -> None:
    payload = '{"number":"ü"}'.encode().ljust(claims.LARGEST_TICKET_PAYLOAD_BYTES + more_bytes)
    accept_this(bench, payload=payload)

    assert receive().payload == (b"" if more_bytes else payload)


@pytest.mark.parametrize("is_traced", [True, False])
def test_it_has_its_trace_if_it_is_asked_for(
    bench: Bench, broker: Stack, *, is_traced: bool
) -> None:
    trace_parent = f"00-{'a' * 32}-{'b' * 16}-01"
    bench.run(claims.renew("w1", consumes=True))
    with listening(broker.redis_url, bench.raw, "w1", is_traced=is_traced) as receive:
        accept_this(bench, trace_parent=trace_parent)

        assert receive().trace_parent == (trace_parent if is_traced else None)


@pytest.mark.parametrize("end_of_worker", ["crash", "stop", "connection"])
def test_what_was_never_heard_of_is_given_back(
    bench: Bench, broker: Stack, end_of_worker: str
) -> None:
    bench.run(claims.renew("w1", consumes=True))
    with listening(broker.redis_url, bench.raw, "w1"):
        invocation = accept_this(bench)
    assert not is_queued(bench)

    if end_of_worker == "crash":
        bench.let_lease_lapse("w1")
        assert [one.messages for one in bench.sweep()] == [1]
    elif end_of_worker == "stop":
        assert bench.run(claims.retire("w1")) == 1
    else:
        assert bench.run(claims.requeue_unstarted("w1")) == 1

    (ticket,) = claim(bench, "w2")
    assert (ticket.id, ticket.fresh) == (invocation.id, end_of_worker != "crash")
    assert (
        bench.run(
            lifecycle.start(ticket.held, ticket.id, concurrency=None, max_deliveries=3)
        ).verdict
        is Verdict.RUN
    )


def test_what_is_cancelled_while_it_is_held_is_stopped_by_its_worker(
    bench: Bench, receive: Receive
) -> None:
    accept_this(bench)
    receive()

    assert bench.cancel("this").value == "stopping"

    assert bench.run(claims.renew("w1", consumes=True)).to_stop == ("this",)
