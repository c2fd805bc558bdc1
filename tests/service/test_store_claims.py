"""Tickets: which are fresh, and what becomes of them in other hands; step by step."""

from typing import Any

import msgspec
import pytest

from runtime.invocation import Status
from runtime.store import claims, dead_letters, lifecycle, upkeep
from runtime.store.claims import Claim, Ticket
from runtime.store.lifecycle import Cancelling, Ended, ToBeCancelled, Verdict
from tests.store_bench import (
    ERROR,
    QUEUE,
    Bench,
    an_invocation,
    another_try,
)
from tests.tickets import (
    accept,
    claim,
    claim_one,
    end,
    failure,
    finish,
    note,
    ours,
)

# --- which tickets are fresh -----------------------------------------------------------------


def test_what_web_wrote_comes_as_a_ticket_with_all_that_an_attempt_needs(bench: Bench) -> None:
    invocation_id = accept(bench)

    ticket = claim_one(bench)

    assert (ticket.id, ticket.function, ticket.fresh) == (invocation_id, "f", True)
    assert (ticket.payload, ticket.attempts, ticket.failures) == (b'{"number":1}', 0, 0)
    assert ticket.ages_since_us == bench.record(invocation_id).accepted_at_us
    assert ticket.claimed_at_us >= ticket.ages_since_us
    assert (ticket.held.deliveries, ticket.held.queue) == (1, QUEUE)
    assert bench.counts() == {"accepted": 1, "queued": 1}


@pytest.mark.parametrize("more_bytes", [0, 1])
def test_a_payload_that_is_too_large_to_be_passed_around_stays_in_the_record(
    bench: Bench, more_bytes: int
) -> None:
    payload = b'{"number":1}'.ljust(claims.LARGEST_TICKET_PAYLOAD_BYTES + more_bytes)
    invocation = an_invocation("large", payload=payload)
    bench.run(lifecycle.accept(invocation, ours(invocation)))

    ticket = claim_one(bench)

    assert (ticket.fresh, ticket.payload) == (True, b"" if more_bytes else payload)
    assert bench.record("large").payload == payload


def test_others_messages_come_as_they_are_between_ours(bench: Bench) -> None:
    first, stock, last = accept(bench), bench.accept(), accept(bench)

    claimed = bench.run(claims.claim("w1", queues=[QUEUE], room=10))

    assert [one.id for one in claimed.tickets] == [first, last]
    assert [raw for _, raw in claimed.messages] == [
        b'{"body":"","headers":{"id":"%s"}}' % stock.encode()
    ]
    assert len(claimed) == 3


@pytest.mark.parametrize("is_traced", [True, False])
@pytest.mark.parametrize("is_fresh", [True, False])
@pytest.mark.parametrize(
    "trace_parent", [f"00-{'a' * 32}-{'b' * 16}-01", "00-x", "00-a-b-01", None]
)
def test_a_ticket_has_its_trace_if_it_is_asked_for(
    bench: Bench, trace_parent: str | None, *, is_fresh: bool, is_traced: bool
) -> None:
    invocation = msgspec.structs.replace(
        an_invocation("traced", payload=b'{"traceparent":"00-dd-ee-ff"}'),
        trace_parent=trace_parent,
    )
    bench.run(lifecycle.accept(invocation, ours(invocation)))
    if not is_fresh:
        _crashed(bench, "traced")

    claimed = bench.run(claims.claim("w1", queues=[QUEUE], room=1, is_traced=is_traced))

    is_named = is_traced and trace_parent is not None and len(trace_parent) == 55
    (ticket,) = claimed.tickets
    assert ticket.fresh is is_fresh
    assert ticket.trace_parent == (trace_parent if is_named else None)


def _crashed(bench: Bench, invocation_id: str) -> None:
    bench.run(claims.requeue(claim_one(bench, "other").held, has_crashed=True))


def _retried(bench: Bench, invocation_id: str) -> None:
    ticket = claim_one(bench, "other")
    note(bench, ticket)
    assert isinstance(bench.run(another_try(ticket.held, ticket.id)), Ended)
    bench.let_all_come_due()


def _claimed_by_another_message(bench: Bench, invocation_id: str) -> None:
    claim_one(bench, "other")
    bench.raw.lpush(QUEUE, ours(an_invocation(invocation_id)))


def _cancelled(bench: Bench, invocation_id: str) -> None:
    assert bench.cancel(invocation_id) is Cancelling.CANCELLED


def _expired(bench: Bench, invocation_id: str) -> None:
    bench.raw.hset(f"eyas:invocation:{invocation_id}", "expires_at", bench.now_us() - 1)


def _perishable(bench: Bench, invocation_id: str) -> None:
    # It may wait in the worker until then.
    bench.raw.hset(f"eyas:invocation:{invocation_id}", "expires_at", bench.now_us() + 10**9)


def _limited(bench: Bench, invocation_id: str) -> None:
    bench.raw.hset("eyas:concurrency", "f", 1)


def _without_a_record(bench: Bench, invocation_id: str) -> None:
    bench.raw.delete(f"eyas:invocation:{invocation_id}")


def _put_off(bench: Bench, invocation_id: str) -> None:
    held = claim_one(bench, "other").held
    assert bench.run(claims.put_off(held, invocation_id, until_us=bench.now_us() + 10**9))
    bench.let_all_come_due()


@pytest.mark.parametrize(
    "happens",
    [
        _crashed,
        _retried,
        _claimed_by_another_message,
        _cancelled,
        _expired,
        _perishable,
        _limited,
        _without_a_record,
        _put_off,
    ],
)
def test_what_might_not_run_at_once_is_not_fresh(bench: Bench, happens: Any) -> None:
    invocation_id = accept(bench)
    happens(bench, invocation_id)

    ticket = claim_one(bench)

    assert (ticket.id, ticket.fresh) == (invocation_id, False)


def test_a_delayed_one_is_started_by_a_word_when_its_time_has_come(bench: Bench) -> None:
    accept(bench, delay=1000)
    assert claim(bench) == []
    bench.let_all_come_due()

    ticket = claim_one(bench)

    assert bench.start(ticket.held, ticket.id).verdict is Verdict.RUN
    bench.assert_conserved()


def test_a_redriven_one_is_fresh_again_and_keeps_its_attempts(bench: Bench) -> None:
    accept(bench)
    ticket = claim_one(bench)
    finish(bench, failure(ticket))
    assert bench.run(dead_letters.redrive(ticket.id, max_age_seconds=None))

    again = claim_one(bench, "w2")

    assert (again.fresh, again.attempts, again.failures) == (True, 1, 0)
    (ended,) = finish(bench, end(again))
    assert ended is not None
    assert ended.attempt == 2
    assert bench.counts() == {"accepted": 1, "succeeded": 1}


# --- cancelling what is claimed --------------------------------------------------------------


@pytest.mark.parametrize("is_noted", [False, True])
def test_what_is_claimed_is_stopped_by_its_worker(bench: Bench, *, is_noted: bool) -> None:
    accept(bench)
    ticket = claim_one(bench)
    if is_noted:
        note(bench, ticket)

    assert bench.cancel(ticket.id) is Cancelling.STOPPING

    assert bench.run(claims.renew("w1", consumes=True)).to_stop == (ticket.id,)
    finish(bench, end(ticket, status=Status.CANCELLED, result=None, error=ERROR))
    assert bench.run(claims.renew("w1", consumes=True)).to_stop == ()
    assert bench.counts() == {"accepted": 1, "cancelled": 1}
    bench.assert_conserved()


def test_what_was_cancelled_while_claimed_never_runs_elsewhere(bench: Bench) -> None:
    accept(bench)
    ticket = claim_one(bench)
    bench.cancel(ticket.id)
    bench.let_lease_lapse("w1")
    bench.sweep()

    assert bench.run(claims.renew("w1", consumes=True)).to_stop == ()
    again = claim_one(bench, "w2")
    assert not again.fresh
    assert bench.start(again.held, again.id).verdict is Verdict.CANCELLED


def test_what_was_cancelled_while_claimed_is_not_retried(bench: Bench) -> None:
    accept(bench)
    ticket = claim_one(bench)
    bench.cancel(ticket.id)
    note(bench, ticket)

    assert isinstance(bench.run(another_try(ticket.held, ticket.id)), ToBeCancelled)


# --- giving back -----------------------------------------------------------------------------


def test_what_is_given_back_leaves_what_is_kept(bench: Bench) -> None:
    ids = [accept(bench) for _ in range(5)]
    tickets = claim(bench)
    note(bench, tickets[0])

    given = bench.run(claims.requeue_unstarted("w1", kept=[tickets[2].held.tag, "1:1:unknown"]))

    assert given == 3
    again = claim(bench, "w2")
    assert [one.id for one in again] == [ids[1], ids[3], ids[4]], "the oldest first"
    assert [one.held.deliveries for one in again] == [1, 1, 1]
    assert finish(bench, end(tickets[2]), end(tickets[1])) == [
        finish_answer(bench, tickets[2]),
        None,
    ]
    bench.assert_conserved()


def finish_answer(bench: Bench, ticket: Ticket) -> Ended:
    record = bench.record(ticket.id)
    assert record.finished_at_us is not None
    return Ended(
        attempt=record.attempt,
        accepted_at_us=record.accepted_at_us,
        started_at_us=record.started_at_us,
        ended_at_us=record.finished_at_us,
        request_id=None,
    )


def test_a_fresh_claim_of_a_dead_worker_counts_as_an_attempt(bench: Bench) -> None:
    """It may have begun without a word, and an attempt's number is never given twice."""
    for _ in range(2):
        accept(bench)
    fresh, noted = claim(bench)
    note(bench, noted)
    bench.let_lease_lapse("w1")
    bench.sweep()

    for ticket in claim(bench, "w2"):
        started = bench.start(ticket.held, ticket.id)
        assert (started.verdict, started.attempt) == (Verdict.RUN, 2)
        assert ticket.held.deliveries == 2
    assert finish(bench, end(fresh)) == [None]
    assert bench.counts() == {"accepted": 2, "running": 2}
    bench.assert_conserved()


def test_a_fresh_claim_that_was_given_back_counts_as_none(bench: Bench) -> None:
    accept(bench)
    bench.run(claims.requeue(claim_one(bench).held, has_crashed=False))
    ticket = claim_one(bench, "w2")

    assert ticket.fresh
    assert bench.start(ticket.held, ticket.id).attempt == 1
    assert ticket.held.deliveries == 1


def test_an_old_claim_of_a_dead_worker_is_counted_by_its_start_only(bench: Bench) -> None:
    accept(bench)
    bench.run(claims.requeue(claim_one(bench).held, has_crashed=True))
    claim_one(bench, "w2")  # not fresh: it cannot have begun
    bench.let_lease_lapse("w2")
    bench.sweep()
    ticket = claim_one(bench, "w3")

    assert bench.start(ticket.held, ticket.id).attempt == 2


# --- a second message ------------------------------------------------------------------------


@pytest.mark.parametrize("is_noted", [False, True])
def test_a_second_message_of_what_is_claimed_is_let_go(bench: Bench, *, is_noted: bool) -> None:
    invocation_id = accept(bench)
    first = claim_one(bench)
    if is_noted:
        note(bench, first)
    bench.raw.lpush(QUEUE, ours(an_invocation(invocation_id)))
    second = claim_one(bench, "w2")

    assert bench.start(second.held, second.id).verdict is Verdict.DUPLICATE

    assert bench.run(claims.read_tags("w2")) == []
    (ended,) = finish(bench, end(first))
    assert ended is not None
    assert ended.attempt == 1
    bench.assert_conserved()


def test_a_second_message_takes_over_when_the_first_is_lost(bench: Bench) -> None:
    invocation_id = accept(bench)
    first = claim_one(bench)
    bench.raw.hdel("eyas:in_flight:w1", first.held.tag)
    bench.raw.lpush(QUEUE, ours(an_invocation(invocation_id)))
    second = claim_one(bench, "w2")

    assert bench.start(second.held, second.id).verdict is Verdict.RUN

    assert note(bench, first) == {first.held.tag}
    assert finish(bench, end(first)) == [None]
    assert bench.status(invocation_id) is Status.RUNNING
    bench.assert_conserved()


def test_a_lost_fresh_claim_is_found_and_queued_again(bench: Bench) -> None:
    invocation_id = accept(bench)
    ticket = claim_one(bench)
    bench.raw.hdel("eyas:in_flight:w1", ticket.held.tag)
    page = bench.run(upkeep.find_suspects(older_than_seconds=0, limit=10, position=""))
    (suspect,) = page.suspects

    assert bench.run(upkeep.put_back(suspect, ours(an_invocation(invocation_id)))) is True

    again = claim_one(bench, "w2")
    assert bench.start(again.held, again.id).verdict is Verdict.RUN


def test_a_claim_of_no_worker_finishes_nothing(bench: Bench) -> None:
    accept(bench)
    ticket = claim_one(bench)
    stranger = Claim(worker="w9", tag=ticket.held.tag)

    assert finish(bench, end(ticket, held=stranger)) == [None]
    assert bench.status(ticket.id) is Status.QUEUED
