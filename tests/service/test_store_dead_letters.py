"""Dead letters: redriven, purged and listed; step by step."""

import json

from runtime.history import What
from runtime.invocation import Status
from runtime.outcome import FunctionError
from runtime.policy import DeadLetterReason
from runtime.store import dead_letters, lifecycle, records, upkeep
from runtime.store.records import Gone
from tests.store_bench import QUEUE, RETENTION, Bench, an_invocation, id_of, message


def test_a_redriven_record_is_kept_and_gets_its_attempts_anew(bench: Bench) -> None:
    bench.accept()
    held, name = bench.run_one()
    bench.fail(held, name)
    assert 1000 < bench.raw.ttl(f"eyas:invocation:{name}") <= 2000

    assert bench.run(dead_letters.redrive(name, max_age_seconds=50))

    record = bench.record(name)
    assert (record.status, record.attempt, record.max_attempts) == (Status.QUEUED, 1, 4)
    assert (record.error, record.finished_at_us, record.dead_letter) == (None, None, None)
    assert bench.raw.ttl(f"eyas:invocation:{name}") == -1
    assert bench.raw.exists(f"celery-task-meta-{name}", "eyas:dead", "eyas:dead:f") == 0
    assert bench.run(dead_letters.redrive(name, max_age_seconds=None)) is False
    assert bench.run(dead_letters.purge(name)) is False
    held, _ = bench.run_one()
    bench.succeed(held, name)
    assert 0 < bench.raw.ttl(f"eyas:invocation:{name}") <= 1000
    assert bench.counts() == {"accepted": 1, "succeeded": 1}


def test_a_redriven_message_that_is_no_invocation_goes_its_own_way(bench: Bench) -> None:
    bench.raw.lpush(QUEUE, b'{"nonsense":1}')
    assert bench.quarantine(bench.claim_one(), "bad-1")
    bench.assert_conserved()

    assert bench.run(dead_letters.redrive("bad-1", max_age_seconds=None))

    assert bench.queued() == [b'{"nonsense":1}']
    assert bench.run(upkeep.take_census()).places["open"] == 0
    bench.assert_conserved()
    assert bench.quarantine(bench.claim_one(), "bad-2")
    assert bench.run(dead_letters.redrive("bad-1", max_age_seconds=None)) is False
    page = bench.run(dead_letters.read_page(function="f", limit=10))
    assert [one.id for one in page.records] == ["bad-2"]
    bench.assert_conserved()


def test_a_purged_dead_letter_is_gone_and_stays_counted(bench: Bench) -> None:
    bench.accept()
    held, name = bench.run_one()
    bench.fail(held, name)

    assert bench.run(dead_letters.purge(name)) is True
    assert bench.run(dead_letters.purge(name)) is False

    assert isinstance(bench.run(records.read(name, retention=RETENTION)), Gone)
    assert bench.counts() == {"accepted": 1, "failed": 1}
    assert bench.raw.exists("eyas:dead", "eyas:dead:f") == 0
    bench.assert_conserved()


def test_pages_of_dead_letters_have_each_once_the_latest_first(bench: Bench) -> None:
    ids = []
    for _ in range(250):
        bench.accept()
        held, name = bench.run_one()
        bench.fail(held, name)
        ids.append(name)
    # Some became dead letters in the same microsecond.
    for name in ids[100:140]:
        bench.raw.zadd("eyas:dead:f", {name: bench.raw.zscore("eyas:dead:f", ids[100])})
    bench.raw.delete(*(f"eyas:invocation:{name}" for name in ids[10:20]))

    listed, cursor = [], None
    while True:
        page = bench.run(dead_letters.read_page(function="f", limit=7, cursor=cursor))
        listed += [one.id for one in page.records]
        cursor = page.next_cursor
        if cursor is None:
            break

    assert sorted(listed) == sorted(ids[:10] + ids[20:])
    assert listed[:110] == list(reversed(ids[140:]))
    assert bench.run(dead_letters.read_page(function="g", limit=7)).records == ()


def test_a_page_of_large_dead_letters_ends_early_and_none_is_skipped(bench: Bench) -> None:
    ids = []
    for _ in range(7):
        bench.accept()
        held, name = bench.run_one()
        bench.fail(held, name)
        bench.raw.hset(f"eyas:invocation:{name}", "payload", b'"' + b"x" * 400_000 + b'"')
        ids.append(name)

    listed, sizes, cursor = [], [], None
    while True:
        page = bench.run(dead_letters.read_page(function=None, limit=50, cursor=cursor))
        listed += [one.id for one in page.records]
        sizes.append(len(page.records))
        cursor = page.next_cursor
        if cursor is None:
            break

    assert listed == list(reversed(ids))
    assert sizes[:2] == [3, 3]


def test_what_took_the_id_of_an_old_dead_letter_is_none(bench: Bench) -> None:
    bench.accept()
    held, name = bench.run_one()
    bench.fail(held, name)
    bench.raw.delete(f"eyas:invocation:{name}")
    bench.run(lifecycle.accept(an_invocation(name), message(name)))

    assert bench.run(dead_letters.read_page(function=None, limit=5)).records == ()
    bench.sweep()
    assert bench.run(upkeep.take_census()).places["dead_letters"] == 0


def test_a_dead_letter_whose_record_expired_is_counted_no_more(bench: Bench) -> None:
    for _ in range(3):
        bench.accept()
        held, name = bench.run_one()
        bench.fail(held, name)
    bench.raw.delete("eyas:invocation:id-1", "eyas:invocation:id-2")

    bench.sweep()

    assert bench.run(upkeep.take_census()).places["dead_letters"] == 1
    assert bench.raw.zrange("eyas:dead:f", 0, -1) == [b"id-3"]


def test_how_it_ended_before_a_redrive_stays_in_its_history(bench: Bench) -> None:
    bench.accept()
    held, name = bench.run_one("w7")
    long = FunctionError(type="Bad" + "é" * 600, message='"\n\x1b' + "💥" * 600, stack_trace=("x",))
    bench.run(
        lifecycle.finish(
            held,
            name,
            status=Status.FAILED,
            celery_result=b"{}",
            retention=RETENTION,
            error=long.encode(),
            dead_letter=DeadLetterReason.RETRIES_EXHAUSTED,
        )
    )
    before = bench.record(name)

    assert bench.run(dead_letters.redrive(name, max_age_seconds=None))

    given_up, redriven = bench.record(name).history
    assert given_up.what is What.GIVEN_UP
    assert (given_up.attempt, given_up.worker) == (1, "w7")
    assert (given_up.started_at, given_up.at_us) == (before.started_at_us, before.finished_at_us)
    assert given_up.reason == "RetriesExhausted"
    assert json.loads(bytes(given_up.error)) == json.loads(long.brief())
    assert redriven.what is What.REDRIVEN
    assert redriven.attempt is None


def test_one_that_died_too_often_or_never_ran_is_redriven_with_its_history(bench: Bench) -> None:
    poisonous = bench.accept()
    for worker in ("w1", "w2", "w3"):
        bench.run_one(worker)
        bench.let_lease_lapse(worker)
        bench.sweep()
    barred = bench.accept()
    for _ in range(2):
        ((held, raw),) = bench.claim("w4")
        bench.fail(held, id_of(raw))
    for name in (poisonous, barred):
        assert bench.run(dead_letters.redrive(name, max_age_seconds=None))

    *lost, given_up, _ = bench.record(poisonous).history
    assert [(one.what, one.attempt, one.worker) for one in lost] == [
        (What.LOST, 1, "w1"),
        (What.LOST, 2, "w2"),
        (What.LOST, 3, "w3"),
    ]
    assert (given_up.what, given_up.attempt, given_up.worker) == (What.GIVEN_UP, 3, "w3")
    never_ran, _ = bench.record(barred).history
    assert (never_ran.attempt, never_ran.worker, never_ran.started_at) == (None, None, None)


def test_a_long_history_loses_its_beginning(bench: Bench) -> None:
    name = bench.accept()
    long = FunctionError(type="E", message="é" * 10_000)
    for _ in range(60):
        held, _ = bench.run_one()
        bench.run(
            lifecycle.retry(
                held,
                name,
                delay_seconds=1000,
                error=long.encode(),
                celery_result=b"{}",
                retention=RETENTION,
            )
        )
        bench.let_all_come_due()

    history = bench.record(name).history

    attempts = [one.attempt for one in history]
    assert attempts == list(range(61 - len(history), 61))
    assert 10 < len(history) < 40
    assert bench.raw.hstrlen(f"eyas:invocation:{name}", "history") < 23_000
