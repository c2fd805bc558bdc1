"""Cancelling, wherever an invocation is; step by step."""

import pytest
from msgspec.structs import replace

from runtime.invocation import Status
from runtime.store import claims, lifecycle, records, upkeep
from runtime.store.lifecycle import Cancelling, ToBeCancelled, Verdict
from runtime.store.records import Gone
from tests.store_bench import ERROR, QUEUE, RETENTION, Bench, an_invocation, message


def test_a_cancelled_attempt_whose_worker_died_is_not_run_again(bench: Bench) -> None:
    bench.accept()
    _, name = bench.run_one()
    bench.run(claims.renew("w1", consumes=True))
    assert bench.cancel(name) is Cancelling.STOPPING
    assert bench.run(claims.renew("w1", consumes=True)).to_stop == (name,)
    bench.let_lease_lapse("w1")
    bench.sweep()
    assert bench.run(claims.renew("w1", consumes=True)).to_stop == ()

    held = bench.claim_one("w2")
    assert bench.start(held, name).verdict is Verdict.CANCELLED
    ended = bench.run(
        lifecycle.finish(
            held,
            name,
            status=Status.CANCELLED,
            celery_result=b"{}",
            retention=RETENTION,
            error=ERROR,
        )
    )
    assert ended is not None
    assert bench.counts() == {"accepted": 1, "cancelled": 1}
    bench.assert_conserved()


def test_a_cancelled_attempt_is_not_retried_but_ended(bench: Bench) -> None:
    bench.accept()
    held, name = bench.run_one()
    bench.cancel(name)

    assert isinstance(bench.retry(held, name), ToBeCancelled)

    assert bench.run(records.read(name, retention=RETENTION)).status is Status.RUNNING
    assert bench.succeed(held, name) is not None


def test_a_claim_that_is_kept_ends_with_its_acknowledgement(bench: Bench) -> None:
    bench.accept()
    held, name = bench.run_one()
    bench.run(
        lifecycle.finish(
            held,
            name,
            status=Status.SUCCEEDED,
            celery_result=b"{}",
            retention=RETENTION,
            result=b"1",
            keeps_claim=True,
        )
    )
    bench.assert_conserved()

    # Had its worker died now, the message would come again.
    assert bench.run(claims.read_tags(held.worker)) == [held.tag]
    assert bench.run(claims.requeue(held, has_crashed=True))
    again = bench.claim_one("w2")
    assert bench.start(again, name).verdict is Verdict.FINISHED
    assert bench.run(claims.read_tags("w2")) == []


def test_a_finish_that_keeps_its_claim_may_be_repeated(bench: Bench) -> None:
    bench.accept()
    held, name = bench.run_one()
    step = lifecycle.finish(
        held,
        name,
        status=Status.SUCCEEDED,
        celery_result=b"{}",
        retention=RETENTION,
        result=b"1",
        keeps_claim=True,
    )

    answer = bench.run(step)

    assert answer is not None
    assert bench.run(step) == answer
    assert bench.run(claims.read_tags(held.worker)) == [held.tag]


def test_a_cancelled_delayed_message_of_a_celery_program_is_delivered(bench: Bench) -> None:
    bench.raw.lpush(QUEUE, message("stock"))
    held = bench.claim_one()
    bench.run(lifecycle.accept(replace(an_invocation("stock"), trigger="celery"), b""))
    assert bench.run(claims.put_off(held, "stock", until_us=2**52))

    bench.cancel("stock")

    assert bench.start(bench.claim_one(), "stock").verdict is Verdict.FINISHED


def test_a_worker_that_is_gone_is_told_to_stop_nothing(bench: Bench) -> None:
    bench.accept()
    _, name = bench.run_one()
    bench.raw.delete("eyas:in_flight:w1")
    bench.run(claims.retire("w1"))

    assert bench.cancel(name) is Cancelling.STOPPING

    assert bench.raw.exists("eyas:cancelling:w1") == 0
    (lost,) = bench.find_suspects(limit=9)
    assert bench.run(upkeep.put_back(lost, message(name)))
    assert bench.start(bench.claim_one("w2"), name).verdict is Verdict.CANCELLED


def test_a_delayed_one_that_was_cancelled_leaves_its_id_free(bench: Bench) -> None:
    name = bench.accept(delay=1000)
    assert bench.cancel(name) is Cancelling.CANCELLED
    assert bench.let_all_come_due() == 0
    bench.raw.delete(f"eyas:invocation:{name}")
    assert isinstance(bench.run(records.read(name, retention=RETENTION)), Gone)

    bench.run(lifecycle.accept(an_invocation(name), message(name)))

    assert bench.queued() == [message(name)]
    assert bench.run_one()[1] == name
    bench.assert_conserved()


@pytest.mark.parametrize("place", ["claimed", "landed", "given back"])
def test_a_cancelled_one_never_runs_wherever_its_message_is(bench: Bench, place: str) -> None:
    name = bench.accept()
    bench.run(claims.renew("w1", consumes=True))
    if place == "landed":
        bench.run(claims.wait_for_message("w1", queue=QUEUE, seconds=1))
    else:
        held = bench.claim_one()
    bench.cancel(name)
    if place == "given back":
        bench.run(claims.requeue(held, has_crashed=True))
    if place != "claimed":
        held = bench.claim_one()

    assert bench.start(held, name).verdict is Verdict.FINISHED
    assert bench.succeed(held, name) is None
    assert bench.status(name) is Status.CANCELLED
    assert bench.raw.exists(QUEUE, "eyas:in_flight:w1", "eyas:open") == 0


def test_a_message_revoked_before_it_has_a_record_does_not_run(bench: Bench) -> None:
    bench.raw.lpush(QUEUE, message("id-1"))
    assert bench.cancel("id-1", remember_unknown_seconds=60) is Cancelling.UNKNOWN
    held = bench.claim_one()
    bench.run(lifecycle.accept(an_invocation("id-1"), b""))

    assert bench.start(held, "id-1").verdict is Verdict.CANCELLED
    assert bench.raw.exists("eyas:revoked:id-1") == 0
