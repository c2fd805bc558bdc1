"""Attempts that are run without a word, noted late, and ended many at once; step by step."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from runtime.invocation import Status
from runtime.store import claims, dead_letters, lifecycle
from runtime.store.lifecycle import Ended, Verdict
from runtime.testing import Stack
from tests.store_bench import (
    ERROR,
    QUEUE,
    RETENTION,
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

# --- begun without a word --------------------------------------------------------------------


def test_noting_makes_the_record_say_since_when_it_runs(bench: Bench) -> None:
    ids = [accept(bench) for _ in range(3)]
    tickets = claim(bench)

    assert note(bench, *tickets, seconds=0.5) == frozenset()

    now = bench.now_us()
    for one in ids:
        record = bench.record(one)
        assert (record.status, record.attempt) == (Status.RUNNING, 1)
        assert record.started_at_us is not None
        assert 0.5e6 <= now - record.started_at_us < 5e6
    assert bench.counts() == {"accepted": 3, "running": 3}
    bench.assert_conserved()


def test_noting_twice_counts_once(bench: Bench) -> None:
    accept(bench)
    ticket = claim_one(bench)
    note(bench, ticket)
    before = bench.record(ticket.id)

    assert note(bench, ticket, seconds=9) == frozenset()

    assert bench.record(ticket.id) == before
    assert bench.counts() == {"accepted": 1, "running": 1}


def test_noting_what_is_in_other_hands_changes_nothing_and_says_so(bench: Bench) -> None:
    for _ in range(4):
        accept(bench)
    kept, swept, ended, purged = claim(bench)
    bench.run(claims.requeue(swept.held, has_crashed=True))
    newer = claim_one(bench, "w2")
    assert bench.start(newer.held, newer.id).verdict is Verdict.RUN
    finish(bench, end(ended))
    bench.raw.delete(f"eyas:invocation:{purged.id}")
    before = [bench.record(one.id) for one in (swept, ended)]

    lost = note(bench, kept, swept, ended, purged)

    assert lost == {one.held.tag for one in (swept, ended, purged)}
    assert [bench.record(one.id) for one in (swept, ended)] == before
    assert bench.status(kept.id) is Status.RUNNING


def test_noting_what_was_redriven_and_claimed_since_changes_nothing(bench: Bench) -> None:
    invocation_id = accept(bench)
    old = claim_one(bench)
    bench.raw.lpush(QUEUE, ours(an_invocation(invocation_id)))
    finish(bench, failure(claim_one(bench, "w2")))
    assert bench.run(dead_letters.redrive(invocation_id, max_age_seconds=None))
    claim_one(bench, "w3")

    assert note(bench, old) == {old.held.tag}

    assert bench.status(invocation_id) is Status.QUEUED
    bench.assert_conserved()


def test_what_was_noted_may_report_progress_and_be_retried(bench: Bench) -> None:
    accept(bench)
    ticket = claim_one(bench)
    step = lifecycle.progress(ticket.held, ticket.id, report=b"0.5")
    assert bench.run(step) is False, "nobody knows yet that it runs"
    assert bench.run(another_try(ticket.held, ticket.id)) is None
    note(bench, ticket)

    assert bench.run(step) is True
    assert isinstance(bench.run(another_try(ticket.held, ticket.id)), Ended)
    assert bench.counts() == {"accepted": 1, "retrying": 1}
    bench.assert_conserved()


# --- many ends at once -----------------------------------------------------------------------


def test_hundreds_of_ends_are_told_at_once(bench: Bench) -> None:
    for number in range(300):
        accept(bench, name="f" if number % 3 else "g")
    tickets = claim(bench, room=300)

    answers = finish(bench, *map(end, tickets))

    assert all(one is not None and one.attempt == 1 for one in answers)
    assert bench.counts("f") == {"accepted": 200, "succeeded": 200}
    assert bench.counts("g") == {"accepted": 100, "succeeded": 100}
    assert bench.raw.hlen("eyas:in_flight:w1") == 0
    assert bench.raw.zcard("eyas:open") == 0
    bench.assert_conserved()


def test_the_times_of_an_attempt_without_a_word_are_those_of_the_attempt(bench: Bench) -> None:
    accept(bench)
    ticket = claim_one(bench)

    (ended,) = finish(bench, end(ticket, ran=(3.0, 1.0)))

    record = bench.record(ticket.id)
    assert ended is not None
    assert (record.started_at_us, record.finished_at_us) == (ended.started_at_us, ended.ended_at_us)
    assert record.run_ms == 2000.0
    assert 1e6 <= bench.now_us() - ended.ended_at_us < 5e6


def test_an_attempt_that_was_noted_late_has_not_begun_late(bench: Bench) -> None:
    accept(bench)
    ticket = claim_one(bench)
    note(bench, ticket, seconds=0.0)

    finish(bench, end(ticket, ran=(3.0, 1.0)))

    assert bench.record(ticket.id).run_ms == 2000.0


def test_an_attempt_that_was_started_before_it_waited_has_begun_then(bench: Bench) -> None:
    accept(bench)
    ticket = claim_one(bench)
    started = bench.start(ticket.held, ticket.id)

    finish(bench, end(ticket, ran=(0.0, 0.0)))

    assert bench.record(ticket.id).started_at_us == started.started_at_us


def test_of_ends_told_together_each_has_its_own_answer(bench: Bench) -> None:
    for _ in range(6):
        accept(bench)
    fresh, noted, started, lost, failed, cancelled = claim(bench)
    note(bench, noted, failed)
    bench.start(started.held, started.id)
    bench.run(claims.requeue(lost.held, has_crashed=False))
    step = lifecycle.finish_all(
        [
            end(fresh),
            end(noted),
            end(started, ran=None),
            end(lost),
            failure(failed),
            end(cancelled, status=Status.CANCELLED, result=None, error=ERROR, ran=None),
        ],
        retention=RETENTION,
    )

    answers = bench.run(step)

    assert [one and one.attempt for one in answers] == [1, 1, 1, None, 1, 0]
    assert answers[5].started_at_us is None
    assert bench.run(step) == answers, "the same request again"
    assert bench.counts() == {
        "accepted": 6,
        "queued": 1,
        "succeeded": 3,
        "failed": 1,
        "cancelled": 1,
    }
    assert bench.record(failed.id).dead_letter == "Permanent"
    assert len(bench.queued()) == 1
    assert bench.raw.hlen("eyas:in_flight:w1") == 0
    assert bench.raw.exists("eyas:running:w1") == 0
    bench.assert_conserved()


def test_another_request_finishes_nothing_twice(bench: Bench) -> None:
    accept(bench)
    ticket = claim_one(bench)
    finish(bench, end(ticket))
    before = bench.record(ticket.id)

    assert finish(bench, failure(ticket), end(ticket)) == [None, None]

    assert bench.record(ticket.id) == before
    assert bench.counts() == {"accepted": 1, "succeeded": 1}


def test_one_that_is_told_twice_in_one_request_ends_once(bench: Bench) -> None:
    accept(bench)
    ticket = claim_one(bench)

    first, second = finish(bench, end(ticket), end(ticket))

    assert first == second
    assert bench.counts() == {"accepted": 1, "succeeded": 1}


def test_a_dead_letter_that_was_never_noted_can_be_redriven(bench: Bench) -> None:
    invocation_id = accept(bench)
    before = bench.queued()
    finish(bench, failure(claim_one(bench)))

    (shown,) = bench.run(dead_letters.read_page(function="f", limit=9, cursor=None)).records
    assert (shown.id, shown.attempt) == (invocation_id, 1)
    assert bench.run(dead_letters.redrive(invocation_id, max_age_seconds=None))
    assert bench.queued() == before


def test_a_kept_claim_ends_with_its_acknowledgement(bench: Bench) -> None:
    for _ in range(2):
        accept(bench)
    fresh, noted = claim(bench)
    note(bench, noted)

    finish(bench, end(fresh, keeps_claim=True), end(noted, keeps_claim=True))

    tags = [fresh.held.tag, noted.held.tag]
    assert sorted(bench.run(claims.read_tags("w1"))) == sorted(tags)
    bench.run(claims.acknowledge("w1", tags))
    assert bench.run(claims.read_tags("w1")) == []
    assert bench.counts() == {"accepted": 2, "succeeded": 2}
    bench.assert_conserved()


def test_a_waiting_result_is_published_for_each(bench: Bench, broker: Stack) -> None:
    for _ in range(2):
        accept(bench)
    tickets = claim(bench)
    heard = bench.raw.pubsub()
    heard.subscribe(*(f"eyas:invocation:{one.id}" for one in tickets))
    for _ in tickets:
        assert heard.get_message(timeout=2)["type"] == "subscribe"

    finish(bench, *map(end, tickets))

    said = [heard.get_message(timeout=2)["data"] for _ in tickets]
    heard.close()
    assert [news.split(b" ", 1)[0] for news in said] == [b"succeeded", b"succeeded"]


def test_a_result_of_celery_is_published_to_who_has_subscribed_to_it_or_to_a_pattern(
    bench: Bench,
) -> None:
    for _ in range(2):
        accept(bench)
    first, second = claim(bench)
    exact, pattern = bench.raw.pubsub(), bench.raw.pubsub()
    exact.subscribe(f"celery-task-meta-{second.id}")
    assert exact.get_message(timeout=2)["type"] == "subscribe"

    finish(bench, end(first))
    pattern.psubscribe("celery-task-meta-*")
    assert pattern.get_message(timeout=2)["type"] == "psubscribe"
    finish(bench, end(second))

    for hearer in (exact, pattern):
        assert hearer.get_message(timeout=2)["channel"] == f"celery-task-meta-{second.id}".encode()
        hearer.close()


# --- what is told of ends --------------------------------------------------------------------

TRACE_PARENT = f"00-{'a' * 32}-{'b' * 16}-01"
SPAN = f"00-{'a' * 32}-{'c' * 16}-01"


@pytest.mark.parametrize("is_noted", [True, False])
@pytest.mark.parametrize("is_given_up", [True, False])
@pytest.mark.parametrize(
    ("carried", "chosen", "goes_on"),
    [
        (TRACE_PARENT, SPAN, SPAN),
        (TRACE_PARENT, "", TRACE_PARENT),
        (None, SPAN, SPAN),
        (None, "", None),
        ("no trace", "", None),
    ],
)
def test_what_tells_of_an_end_goes_on_with_its_trace(
    bench: Bench,
    carried: str | None,
    chosen: str,
    goes_on: str | None,
    *,
    is_noted: bool,
    is_given_up: bool,
) -> None:
    told = replace(
        an_invocation("told", payload=b'{"number":1}'),
        trace_parent=carried,
        callback="http://a.example/",
        on_success="one",
        on_failure="other",
    )
    bench.run(lifecycle.accept(told, ours(told)))
    ticket = claim_one(bench)
    if is_noted:
        note(bench, ticket)

    finish(bench, (failure if is_given_up else end)(ticket, trace_parent=chosen))

    expected: dict[str, Any] = {"invocation_id": "told"}
    if goes_on is not None:
        expected["trace_parent"] = goes_on
    callback, destination = (
        json.loads(bench.record(f"told.{kind}.1").payload) for kind in ("callback", "destination")
    )
    assert callback == {**expected, "url": "http://a.example/"}
    assert destination == {**expected, "destination": "other" if is_given_up else "one"}
    telling = bench.run(claims.claim("w1", queues=[QUEUE], room=9, is_traced=True)).tickets
    assert [one.id for one in telling] == ["told.callback.1", "told.destination.1"]
    assert [one.trace_parent for one in telling] == [goes_on] * 2
    bench.assert_conserved()


def test_what_tells_of_a_cancelled_one_that_waited_begins_a_trace(bench: Bench) -> None:
    told = replace(an_invocation("told"), trace_parent=TRACE_PARENT, callback="http://a.example/")
    bench.run(lifecycle.accept(told, ours(told)))

    bench.cancel("told")

    callback = json.loads(bench.record("told.callback.1").payload)
    assert callback == {"invocation_id": "told", "url": "http://a.example/"}
    bench.raw.rpop(QUEUE)
    assert claim_one(bench).id == "told.callback.1"
    bench.assert_conserved()
