"""What comes twice: answers that were lost, and messages; step by step."""

import pytest

from runtime.invocation import Status
from runtime.store import claims, dead_letters, lifecycle
from runtime.store.lifecycle import Accepting, Verdict
from tests.store_bench import QUEUE, Bench, an_invocation, another_try, message, success

# --- answers that were lost ------------------------------------------------------------------


def test_a_start_whose_answer_was_lost_may_be_repeated(bench: Bench) -> None:
    bench.accept()
    held, name = bench.run_one()
    before = bench.record(name)

    again = bench.start(held, name)

    assert (again.verdict, again.attempt) == (Verdict.RUN, 1)
    assert again.started_at_us == before.started_at_us
    assert bench.record(name) == before
    assert bench.counts() == {"accepted": 1, "running": 1}


def test_a_repeated_start_takes_no_second_slot(bench: Bench) -> None:
    bench.accept()
    held, name = bench.run_one(concurrency=1)

    assert bench.start(held, name, concurrency=1).verdict is Verdict.RUN
    assert bench.raw.scard("eyas:slots:f") == 1


def test_a_finish_whose_answer_was_lost_may_be_repeated(bench: Bench) -> None:
    bench.accept()
    held, name = bench.run_one()
    step = success(held, name)

    first = bench.run(step)
    before = bench.record(name)
    again = bench.run(step)

    assert first is not None
    assert again == first
    assert bench.succeed(held, name) is None, "another request finished what was finished"
    assert bench.record(name) == before
    assert bench.counts() == {"accepted": 1, "succeeded": 1}


def test_a_finish_is_not_repeated_on_what_was_redriven_since(bench: Bench) -> None:
    bench.accept()
    held, name = bench.run_one()
    assert bench.fail(held, name) is not None
    assert bench.run(dead_letters.redrive(name, max_age_seconds=None))

    assert bench.fail(held, name) is None
    assert bench.status(name) is Status.QUEUED


def test_a_retry_whose_answer_was_lost_may_be_repeated(bench: Bench) -> None:
    bench.accept()
    held, name = bench.run_one()
    step = another_try(held, name)

    first = bench.run(step)
    due = bench.record(name).due_at_us
    again = bench.run(step)

    assert first is not None
    assert again == first
    assert bench.retry(held, name) is None, "another request retried what was retried"
    assert bench.record(name).due_at_us == due
    assert bench.raw.hget(f"eyas:invocation:{name}", "failures") == b"1"


def test_a_retry_is_not_repeated_on_what_runs_again_since(bench: Bench) -> None:
    bench.accept()
    held, name = bench.run_one()
    step = another_try(held, name)
    assert bench.run(step) is not None
    bench.let_all_come_due()
    bench.run_one("w2")

    assert bench.run(step) is None
    assert bench.status(name) is Status.RUNNING
    assert bench.raw.zcard("eyas:delayed") == 0


@pytest.mark.parametrize("write", ["succeed", "fail", "retry"])
def test_what_a_swept_worker_writes_late_changes_nothing(bench: Bench, write: str) -> None:
    bench.accept()
    held, name = bench.run_one()
    bench.let_lease_lapse("w1")
    (lapsed,) = bench.sweep()
    assert (lapsed.worker, lapsed.messages) == ("w1", 1)
    other, _ = bench.run_one("w2")
    before = bench.raw.hgetall(f"eyas:invocation:{name}")

    assert getattr(bench, write)(held, name) is None
    assert bench.run(lifecycle.progress(held, name, report=b"0.5")) is False
    assert bench.run(claims.requeue(held, has_crashed=True)) is False
    assert bench.run(claims.put_off(held, name, until_us=bench.now_us() + 10**9)) is False
    assert bench.start(held, name).verdict is Verdict.STALE

    assert bench.raw.hgetall(f"eyas:invocation:{name}") == before
    assert bench.succeed(other, name) is not None


# --- the same message twice ------------------------------------------------------------------


def test_a_second_message_of_a_running_invocation_is_let_go(bench: Bench) -> None:
    bench.accept()
    held, name = bench.run_one()
    bench.raw.lpush(QUEUE, message(name))
    other = bench.claim_one("w2")

    assert bench.start(other, name).verdict is Verdict.DUPLICATE
    assert bench.raw.exists("eyas:in_flight:w2") == 0
    assert bench.succeed(held, name) is not None


def test_a_second_message_of_a_running_invocation_is_not_put_off(bench: Bench) -> None:
    bench.accept()
    held, name = bench.run_one()
    bench.raw.lpush(QUEUE, message(name))
    other = bench.claim_one("w2")

    assert bench.run(claims.put_off(other, name, until_us=bench.now_us() + 10**9)) is False
    assert bench.raw.zcard("eyas:delayed") == 0
    assert bench.start(other, name).verdict is Verdict.DUPLICATE
    assert bench.succeed(held, name) is not None


def test_a_second_message_of_a_delayed_invocation_does_not_move_its_time(bench: Bench) -> None:
    name = bench.accept(delay=1000)
    due = bench.record(name).due_at_us
    bench.raw.lpush(QUEUE, message(name))
    held = bench.claim_one()

    assert bench.run(claims.put_off(held, name, until_us=bench.now_us() + 10**10)) is False
    assert bench.start(held, name).verdict is Verdict.DUPLICATE
    assert bench.record(name).due_at_us == due


def test_what_a_second_message_finished_is_delayed_no_more(bench: Bench) -> None:
    name = bench.accept(delay=1000)
    bench.raw.lpush(QUEUE, message(name))
    held = bench.claim_one()
    assert bench.fail(held, name) is not None

    assert bench.let_all_come_due() == 0
    assert bench.queued() == []
    assert bench.record(name).due_at_us is None
    assert bench.run(dead_letters.redrive(name, max_age_seconds=None))
    assert bench.queued() == [message(name)]
    bench.assert_conserved()


def test_a_second_message_found_running_by_a_lost_claim_takes_over(bench: Bench) -> None:
    bench.accept()
    lost, name = bench.run_one(concurrency=1)
    bench.cancel(name)
    bench.raw.hdel(f"eyas:invocation:{name}", "cancel_requested")
    bench.raw.hdel("eyas:in_flight:w1", lost.tag)
    bench.raw.lpush(QUEUE, message(name))
    held = bench.claim_one("w2")

    assert bench.start(held, name, concurrency=1).verdict is Verdict.RUN

    assert bench.raw.exists("eyas:running:w1", "eyas:cancelling:w1") == 0
    assert bench.raw.scard("eyas:slots:f") == 1
    bench.assert_conserved()


def test_what_ran_by_a_lost_claim_and_must_not_run_again_can_be_finished(bench: Bench) -> None:
    bench.accept()
    lost, name = bench.run_one()
    bench.raw.hset(f"eyas:invocation:{name}", "expires_at", 1)
    bench.raw.hdel("eyas:in_flight:w1", lost.tag)
    bench.raw.lpush(QUEUE, message(name))
    held = bench.claim_one("w2")
    assert bench.start(held, name).verdict is Verdict.EXPIRED

    assert bench.fail(held, name) is not None
    assert bench.status(name) is Status.FAILED
    bench.assert_conserved()


def test_adopting_an_id_that_is_finished_changes_nothing(bench: Bench) -> None:
    bench.accept()
    held, name = bench.run_one()
    bench.succeed(held, name)
    before = bench.record(name)
    bench.raw.lpush(QUEUE, message(name))
    held = bench.claim_one()

    assert bench.run(lifecycle.accept(an_invocation(name), b"")).outcome is Accepting.KNOWN
    assert bench.start(held, name).verdict is Verdict.FINISHED
    assert bench.record(name) == before
    assert bench.counts() == {"accepted": 1, "succeeded": 1}
