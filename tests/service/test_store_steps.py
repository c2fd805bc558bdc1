"""The sharp edges of the store's steps, each by itself, on a real broker."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from msgspec.structs import replace

from runtime.invocation import IdempotencyKey, Invocation, Status
from runtime.message import TRIGGER_HEADER, encode, id_in
from runtime.registry import Registry
from runtime.settings import Settings
from runtime.store import Store, claims, dead_letters, lifecycle, records, upkeep
from runtime.store.claims import LEASE_SECONDS, Claim
from runtime.store.lifecycle import Accepting, Cancelling, ToBeCancelled, Verdict
from runtime.store.records import Gone
from runtime.store.step import Step
from runtime.testing import Stack
from runtime.worker.admission import Admission
from tests.store_bench import (
    ERROR,
    LESS_URGENT,
    QUEUE,
    RETENTION,
    Bench,
    an_invocation,
    another_try,
    id_of,
    message,
    numbers,
    success,
)

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


# --- races -------------------------------------------------------------------------------------


def test_of_racing_requests_with_one_idempotency_key_one_is_accepted(
    bench: Bench, broker: Stack
) -> None:
    key = IdempotencyKey(key="k", digest="d", ttl_seconds=60)

    def accept(number: int) -> lifecycle.Accepted:
        store = Store(broker.redis_url)
        try:
            invocation = an_invocation(f"id-{number}")
            return store.run(lifecycle.accept(invocation, message(invocation.id), idempotency=key))
        finally:
            store.close()

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(accept, range(64)))

    assert [one.outcome for one in answers].count(Accepting.ACCEPTED) == 1
    assert {one.outcome for one in answers} == {Accepting.ACCEPTED, Accepting.REPLAYED}
    assert len({one.id for one in answers}) == 1
    assert len(bench.queued()) == 1


def test_an_idempotency_key_with_another_payload_is_a_conflict(bench: Bench) -> None:
    def accept(name: str, digest: str, function: str = "f") -> lifecycle.Accepted:
        key = IdempotencyKey(key="k: ü\n%s", digest=digest, ttl_seconds=60)
        answer = bench.run(
            lifecycle.accept(an_invocation(name, function), message(name), idempotency=key)
        )
        assert isinstance(answer, lifecycle.Accepted)
        return answer

    assert accept("id-1", "d1").outcome is Accepting.ACCEPTED
    assert accept("id-2", "d2") == lifecycle.Accepted(outcome=Accepting.CONFLICT, id="id-1")
    assert accept("id-3", "d1") == lifecycle.Accepted(outcome=Accepting.REPLAYED, id="id-1")
    assert accept("id-4", "d2", "g").outcome is Accepting.ACCEPTED


def test_schedulers_that_race_queue_each_due_invocation_once(bench: Bench, broker: Stack) -> None:
    ids = [bench.accept(delay=1000) for _ in range(300)]
    assert bench.queued() == []
    for name in ids:
        bench.raw.zadd("eyas:delayed", {name: bench.now_us() - 1})

    def move(_: int) -> int:
        store = Store(broker.redis_url)
        try:
            return sum(store.run(upkeep.queue_due(limit=7)).moved for _ in range(30))
        finally:
            store.close()

    with ThreadPoolExecutor(4) as threads:
        moved = sum(threads.map(move, range(4)))

    assert moved == 300
    assert bench.queued_ids() == ids
    assert bench.record(ids[0]).due_at_us is None


def test_the_next_due_time_is_told(bench: Bench) -> None:
    bench.accept(delay=500)
    bench.accept(delay=100)

    due = bench.run(upkeep.queue_due(limit=10))

    assert due.moved == 0
    assert 90 < due.next_seconds <= 100
    bench.raw.flushall()
    assert bench.run(upkeep.queue_due(limit=10)).next_seconds is None


def test_times_keep_every_digit(bench: Bench) -> None:
    name = bench.accept(delay=1000)
    record = bench.record(name)

    assert record.due_at_us == record.accepted_at_us + 1_000_000_000
    assert bench.raw.zscore("eyas:delayed", name) == record.due_at_us
    assert bench.raw.zscore("eyas:open", name) == record.accepted_at_us
    assert len(str(record.accepted_at_us)) == 16


# --- leases ------------------------------------------------------------------------------------


def test_a_lease_that_lapsed_while_nobody_swept_is_prolonged(bench: Bench) -> None:
    bench.accept()
    bench.claim_one()
    bench.run(claims.renew("w1", consumes=True))
    now = bench.now_us()
    bench.raw.set("eyas:swept_at", now - 60_000_000)
    bench.raw.zadd("eyas:leases", {"w1": now - 57_000_000})

    assert bench.run(claims.sweep(gap_seconds=2.0)) == []

    until = bench.raw.zscore("eyas:leases", "w1")
    assert now < until <= bench.now_us() + LEASE_SECONDS * 1e6
    assert bench.queued() == []


def test_a_lease_that_lapsed_before_the_gap_has_still_lapsed(bench: Bench) -> None:
    bench.accept()
    bench.claim_one()
    now = bench.now_us()
    bench.raw.set("eyas:swept_at", now - 60_000_000)
    bench.raw.zadd("eyas:leases", {"w1": now - 65_000_000})

    (lapsed,) = bench.run(claims.sweep(gap_seconds=2.0))

    assert (lapsed.worker, lapsed.messages) == ("w1", 1)
    assert 4.9 < lapsed.since_seconds < 20
    assert len(bench.queued()) == 1


def test_a_lease_that_lapsed_while_sweeps_went_on_has_lapsed(bench: Bench) -> None:
    bench.accept()
    bench.claim_one()
    now = bench.now_us()
    bench.raw.set("eyas:swept_at", now - 1_000_000)
    bench.raw.zadd("eyas:leases", {"w1": now - 10_000})

    (lapsed,) = bench.run(claims.sweep(gap_seconds=60))

    assert lapsed.worker == "w1"


def test_a_clock_set_back_makes_no_lease_longer_than_a_lease(bench: Bench) -> None:
    bench.accept()
    bench.claim_one()
    now = bench.now_us()
    bench.raw.set("eyas:swept_at", now + 3_600_000_000)
    bench.raw.zadd("eyas:leases", {"w1": now + 3_601_000_000})

    assert bench.run(claims.sweep(gap_seconds=2.0)) == []

    until = bench.raw.zscore("eyas:leases", "w1")
    assert now < until <= bench.now_us() + LEASE_SECONDS * 1e6


def test_a_lease_that_cannot_be_is_cut_by_the_first_sweep(bench: Bench) -> None:
    bench.accept()
    bench.claim_one()
    bench.raw.zadd("eyas:leases", {"w1": bench.now_us() + 3_600_000_000})

    assert bench.run(claims.sweep(gap_seconds=2.0)) == []

    assert bench.raw.zscore("eyas:leases", "w1") <= bench.now_us() + LEASE_SECONDS * 1e6


def test_a_lapse_is_told_at_the_next_renewal_once(bench: Bench) -> None:
    assert bench.run(claims.renew("w1", consumes=True)).has_lapsed is False
    bench.let_lease_lapse("w1")

    assert bench.run(claims.count_consuming()) == 0
    assert bench.run(claims.renew("w1", consumes=True)).has_lapsed is True
    assert bench.run(claims.renew("w1", consumes=True)).has_lapsed is False
    assert bench.run(claims.count_consuming()) == 1


def test_a_worker_that_was_forgotten_leaves_no_key(bench: Bench) -> None:
    bench.accept()
    bench.run(claims.renew("w1", consumes=True))
    bench.claim_one()
    bench.let_lease_lapse("w1", seconds=100)
    assert len(bench.sweep()) == 1
    assert bench.sweep() == []

    assert sorted(bench.raw.keys("*w1*")) == []
    assert bench.raw.zcard("eyas:leases") == 0
    assert bench.raw.scard("eyas:consuming") == 0


def test_a_message_that_landed_goes_back_to_the_queue_it_came_from(bench: Bench) -> None:
    bench.raw.lpush("other", message("id-1"), message("id-2"))
    # The claim comes first, and gives the worker its lease.
    assert not bench.run(claims.claim("w1", queues=(), room=1, landing_queue="other"))
    bench.accept()
    bench.claim_one()
    bench.run(claims.renew("w1", consumes=True, landing_queue="other"))
    assert bench.run(claims.wait_for_message("w1", queue="other", seconds=1))
    bench.let_lease_lapse("w1")
    bench.sweep()

    assert bench.queued_ids("other") == ["id-1", "id-2"]


# --- giving back -------------------------------------------------------------------------------


def test_what_landed_comes_after_what_was_claimed_before_it(bench: Bench) -> None:
    ids = [bench.accept() for _ in range(8)]
    bench.run(claims.renew("w1", consumes=True))
    bench.claim(room=3)
    for _ in range(3):
        assert bench.run(claims.wait_for_message("w1", queue=QUEUE, seconds=1))
    bench.let_lease_lapse("w1")

    (lapsed,) = bench.sweep()

    assert lapsed.messages == 6
    assert bench.queued_ids() == ids


def test_what_landed_is_claimed_first(bench: Bench) -> None:
    ids = [bench.accept() for _ in range(4)]
    bench.run(claims.renew("w1", consumes=True))
    for _ in range(2):
        assert bench.run(claims.wait_for_message("w1", queue=QUEUE, seconds=1))

    taken = bench.claim(room=3)

    assert [id_of(raw) for _, raw in taken] == ids[:3]
    assert [held.queue for held, _ in taken] == [QUEUE] * 3


def test_only_the_unstarted_are_given_back_when_asked_so(bench: Bench) -> None:
    ids = [bench.accept() for _ in range(4)]
    taken = bench.claim(room=4)
    bench.start(taken[1][0], ids[1])

    assert bench.run(claims.requeue_unstarted("w1")) == 3
    assert bench.queued_ids() == [ids[0], ids[2], ids[3]]
    assert all(b"deliveries" not in raw for raw in bench.queued())
    assert bench.status(ids[1]) is Status.RUNNING


def test_deliveries_count_crashes_and_not_what_was_given_back(bench: Bench) -> None:
    bench.accept()
    seen = []
    for has_crashed in (True, False, True, False, True):
        ((held, raw),) = bench.claim()
        seen.append(held.deliveries)
        assert raw.startswith(b'{"deliveries":%d,' % (held.deliveries - 1)) is (held.deliveries > 1)
        bench.run(claims.requeue(held, has_crashed=has_crashed))

    assert seen == [1, 2, 2, 3, 3]
    assert bench.claim_one().deliveries == 4


def test_a_retry_forgets_deliveries(bench: Bench) -> None:
    name = bench.accept()
    bench.run(claims.requeue(bench.claim_one(), has_crashed=True))
    held, _ = bench.run_one()
    assert held.deliveries == 2
    bench.retry(held, name)
    bench.let_all_come_due()

    assert bench.queued() == [message(name)]


@pytest.mark.parametrize(
    "raw",
    [
        b'{"body":"\xff\xfe\x00\x01"}',
        b'{"a":"' + b"x" * 3_000_000 + b'"}',
        b'{"a":"100%d %1 %% {\\"deliveries\\":5,\n\r\t"}',
        b'{"body":"\\n","b":\n\n1}\n',
        b'{"\x00":1}',
        b'{"","deliveries":7,"x":1}',
    ],
    ids=["not UTF-8", "large", "patterns", "lines", "zero byte", "own deliveries"],
)
def test_a_message_comes_through_every_place_unchanged(bench: Bench, raw: bytes) -> None:
    bench.raw.lpush(QUEUE, raw)
    ((held, first),) = bench.claim()
    assert first == raw
    bench.run(claims.requeue(held, has_crashed=False))
    assert bench.queued() == [raw]
    bench.run(claims.requeue(bench.claim_one(), has_crashed=True))
    assert bench.queued() == [b'{"deliveries":1,' + raw[1:]]
    held = bench.claim_one()
    assert held.deliveries == 2

    # Parked, woken, put off, due, a dead letter, redriven.
    bench.accept("f")
    bench.run_one("w2", concurrency=1)
    bench.run(lifecycle.accept(an_invocation("odd"), b""))
    assert bench.start(held, "odd", concurrency=1).verdict is Verdict.PARKED
    bench.raw.delete("eyas:slots:f")
    bench.sweep()
    assert bench.queued() == [b'{"deliveries":1,' + raw[1:]]
    held = bench.claim_one()
    assert bench.run(claims.put_off(held, "odd", until_us=bench.now_us() + 10**9))
    bench.let_all_come_due()
    assert bench.queued() == [raw]
    held = bench.claim_one()
    bench.start(held, "odd")
    assert bench.fail(held, "odd") is not None
    bench.run(dead_letters.redrive("odd", max_age_seconds=None))
    assert bench.queued() == [raw]


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b"{", b" {}", b"[1]", b"\x00\xff", b"deliveries", b'{ "a":1}', b"%1%0"]
)
def test_what_is_no_object_with_members_is_never_changed(bench: Bench, raw: bytes) -> None:
    bench.raw.lpush(QUEUE, raw)
    for _ in range(3):
        ((held, taken),) = bench.claim()
        assert (taken, held.deliveries) == (raw, 1)
        bench.run(claims.requeue(held, has_crashed=True))
    assert bench.queued() == [raw]

    assert bench.quarantine(bench.claim_one(), "bad")
    assert bench.run(dead_letters.redrive("bad", max_age_seconds=None))
    assert bench.queued() == [raw]


@pytest.mark.parametrize("count", [b"9" * 15, b"9" * 20, b"9" * 400, b"0" * 30 + b"1"])
def test_a_number_of_deliveries_that_cannot_be_breaks_nothing(bench: Bench, count: bytes) -> None:
    raw = b'{"deliveries":%s,"headers":{"id":"id-1"}}' % count
    bench.raw.lpush(QUEUE, raw)

    held = bench.claim_one()
    assert held.deliveries >= 2
    assert held.queue == QUEUE
    assert bench.run(claims.requeue(held, has_crashed=True))
    assert bench.claim_one().deliveries >= held.deliveries
    bench.let_lease_lapse("w1")
    assert [one.messages for one in bench.sweep()] == [1]
    assert bench.queued_ids() == ["id-1"]


def test_thousands_of_messages_of_a_dead_worker_are_restored_in_order(bench: Bench) -> None:
    raws = [message(f"id-{number}") for number in range(12_000)]
    bench.raw.lpush(QUEUE, *raws)
    # The sequences of these claims pass from four digits to five.
    assert len(bench.claim(room=12_000)) == 12_000
    bench.raw.lpush(QUEUE, message("id-12000"))
    bench.let_lease_lapse("w1")

    (lapsed,) = bench.sweep()

    assert lapsed.messages == 12_000
    assert numbers(bench.queued_ids()) == list(range(12_001))
    assert bench.raw.hlen("eyas:in_flight:w1") == 0


def test_thousands_of_claims_are_acknowledged_at_once(bench: Bench) -> None:
    bench.raw.lpush(QUEUE, *(message(f"id-{number}") for number in range(20_001)))
    taken = bench.claim(room=20_000)
    tags = [held.tag for held, _ in taken]

    left = bench.run(claims.claim("w1", queues=(QUEUE,), room=5, acknowledged=tags[:10_000]))
    assert bench.run(claims.acknowledge("w1", tags[10_000:])) == 10_000

    ((held, raw),) = left.messages
    assert id_of(raw) == "id-20000"
    assert bench.raw.hkeys("eyas:in_flight:w1") == [held.tag.encode()]


def test_an_acknowledgement_with_a_claim_frees_what_the_claim_held(bench: Bench) -> None:
    bench.accept()
    held, _ = bench.run_one(concurrency=1)

    bench.run(claims.claim("w1", queues=(QUEUE,), room=1, acknowledged=[held.tag]))

    assert bench.raw.exists("eyas:running:w1", "eyas:slots:f", "eyas:in_flight:w1") == 0


# --- queues ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "queue", [LESS_URGENT, "a:b:c", "a b", "ü{x}%s", "12:3:celery", ":", "%d+"]
)
def test_a_message_goes_back_to_a_queue_of_any_name(bench: Bench, queue: str) -> None:
    bench.accept()
    bench.run_one("w2", concurrency=1)
    bench.raw.lpush(queue, message("id-9"))
    held = bench.claim_one(queues=(QUEUE, queue))
    assert held.queue == queue
    bench.run(claims.requeue(held, has_crashed=False))
    held = bench.claim_one(queues=(QUEUE, queue))
    bench.run(lifecycle.accept(an_invocation("id-9"), b""))
    assert bench.start(held, "id-9", concurrency=1).verdict is Verdict.PARKED
    bench.raw.delete("eyas:slots:f")
    bench.sweep()
    held = bench.claim_one(queues=(QUEUE, queue))
    bench.start(held, "id-9", concurrency=1)
    bench.retry(held, "id-9")
    bench.let_all_come_due()

    assert bench.queued_ids(queue) == ["id-9"]
    assert bench.claim_one(queues=(queue,)).queue == queue


def test_the_more_urgent_queue_comes_first_and_each_in_its_order(bench: Bench) -> None:
    for number in range(3):
        bench.raw.lpush(LESS_URGENT, message(f"late-{number}"))
        bench.raw.lpush(QUEUE, message(f"soon-{number}"))

    first = bench.claim(room=2, queues=(QUEUE, LESS_URGENT))
    others = bench.claim(room=9, queues=(QUEUE, LESS_URGENT))

    taken = [id_of(raw) for _, raw in first + others]
    assert taken == ["soon-0", "soon-1", "soon-2", "late-0", "late-1", "late-2"]
    bench.run(claims.requeue_unstarted("w1"))
    assert bench.queued_ids() == ["soon-0", "soon-1", "soon-2"]
    assert bench.queued_ids(LESS_URGENT) == ["late-0", "late-1", "late-2"]


def test_without_room_nothing_is_claimed(bench: Bench) -> None:
    bench.accept()

    assert bench.claim(room=0) == []
    assert len(bench.queued()) == 1


# --- concurrency -------------------------------------------------------------------------------


def _park(bench: Bench, count: int) -> list[str]:
    """Start one attempt of a function with one slot by `w1`; park more behind it."""
    bench.accept()
    bench.run_one(concurrency=1)
    ids = [bench.accept() for _ in range(count)]
    for held, raw in bench.claim("w2", room=count):
        assert bench.start(held, id_of(raw), concurrency=1).verdict is Verdict.PARKED
    return ids


def test_the_parked_are_woken_in_their_order_one_for_each_slot(bench: Bench) -> None:
    bench.accept()
    held, running = bench.run_one(concurrency=1)
    ids = [bench.accept() for _ in range(5)]
    for one, raw in bench.claim("w2", room=5):
        assert bench.start(one, id_of(raw), concurrency=1).verdict is Verdict.PARKED
    assert bench.queued() == []

    woken = []
    for _ in ids:
        assert bench.succeed(held, running) is not None
        assert len(bench.queued()) == 1
        held, running = bench.run_one(concurrency=1)
        woken.append(running)

    assert woken == ids
    assert bench.raw.llen("eyas:parked:f") == 0
    bench.assert_conserved()


def test_the_slot_of_a_swept_worker_is_free(bench: Bench) -> None:
    ids = _park(bench, 1)
    bench.let_lease_lapse("w1")
    bench.sweep()

    # The crashed one is the next again, then the one that waited.
    assert bench.queued_ids()[1:] == ids
    assert bench.raw.scard("eyas:slots:f") == 0
    bench.run_one("w2", concurrency=1)


def test_a_slot_that_nobody_holds_is_found_when_somebody_waits_for_it(bench: Bench) -> None:
    ids = _park(bench, 1)
    bench.raw.delete("eyas:running:w1", "eyas:in_flight:w1")
    bench.raw.delete("eyas:invocation:id-1")
    for _ in range(2):
        bench.sweep()

    assert bench.queued_ids() == ids
    assert bench.run_one("w2", concurrency=1)[1] == ids[0]


def test_a_woken_one_that_must_not_run_wakes_the_next(bench: Bench) -> None:
    ids = _park(bench, 3)
    bench.raw.hset(f"eyas:invocation:{ids[0]}", "expires_at", 1)
    bench.cancel(ids[1])
    (held,) = _holds(bench, "w1")
    bench.succeed(held, "id-1")

    first = bench.claim_one("w2")
    assert bench.start(first, ids[0], concurrency=1).verdict is Verdict.EXPIRED
    second = bench.claim_one("w2")
    assert bench.start(second, ids[1], concurrency=1).verdict is Verdict.FINISHED
    assert bench.run_one("w2", concurrency=1)[1] == ids[2]


def _holds(bench: Bench, worker: str) -> list[Claim]:
    return [
        Claim(worker=worker, tag=tag.decode())
        for tag in bench.raw.hkeys(f"eyas:in_flight:{worker}")
    ]


def test_a_woken_one_that_finds_the_slot_taken_is_the_next(bench: Bench) -> None:
    ids = _park(bench, 3)
    (held,) = _holds(bench, "w1")
    bench.succeed(held, "id-1")
    woken = bench.claim_one("w2")
    overtaking = bench.accept()
    held, name = bench.run_one("w3", concurrency=1)
    assert name == overtaking
    assert bench.start(woken, ids[0], concurrency=1).verdict is Verdict.PARKED

    bench.succeed(held, name)

    assert bench.queued_ids() == [ids[0]]


def test_a_limit_that_was_lifted_lets_all_that_wait_come(bench: Bench) -> None:
    ids = _park(bench, 4)
    (held,) = _holds(bench, "w1")
    bench.succeed(held, "id-1")

    started = []
    while bench.queued():
        started.append(bench.run_one("w2", concurrency=None)[1])

    assert started == ids
    assert bench.raw.llen("eyas:parked:f") == 0


def test_a_limit_that_was_raised_lets_more_come(bench: Bench) -> None:
    ids = _park(bench, 3)
    extra = bench.accept()
    assert bench.run_one("w3", concurrency=3)[1] == extra

    bench.sweep()

    assert bench.run_one("w3", concurrency=3)[1] == ids[0]
    assert bench.raw.scard("eyas:slots:f") == 3


def test_a_limit_that_was_lowered_starts_nothing_above_it(bench: Bench) -> None:
    for _ in range(4):
        bench.accept()
    first = bench.run_one(concurrency=3)
    bench.run_one(concurrency=3)
    bench.run_one(concurrency=3)
    held = bench.claim_one()
    assert bench.start(held, "id-4", concurrency=1).verdict is Verdict.PARKED

    bench.succeed(*first)
    held = bench.claim_one()

    assert bench.start(held, "id-4", concurrency=1).verdict is Verdict.PARKED
    assert bench.raw.scard("eyas:slots:f") == 2


def test_a_cancelled_one_that_was_parked_never_runs(bench: Bench) -> None:
    ids = _park(bench, 2)
    assert bench.cancel(ids[0]) is Cancelling.CANCELLED
    (held,) = _holds(bench, "w1")
    bench.succeed(held, "id-1")

    first = bench.claim_one("w2")
    assert bench.start(first, ids[0], concurrency=1).verdict is Verdict.FINISHED

    assert bench.run_one("w2", concurrency=1)[1] == ids[1]
    bench.assert_conserved()


# --- cancelling --------------------------------------------------------------------------------


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
    (lost,) = _suspects(bench, limit=9)
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


# --- the same message twice --------------------------------------------------------------------


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


# --- dead letters ------------------------------------------------------------------------------


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


# --- what is lost ------------------------------------------------------------------------------


def _suspects(bench: Bench, *, limit: int) -> list[upkeep.Suspect]:
    found: list[upkeep.Suspect] = []
    position: str | None = ""
    while position is not None:
        page = bench.run(upkeep.find_suspects(older_than_seconds=0, limit=limit, position=position))
        assert len(page.suspects) <= limit
        found += page.suspects
        position = page.next_position
    return found


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_suspects_are_found_to_the_last_whatever_the_limit(bench: Bench, limit: int) -> None:
    ids = [bench.accept() for _ in range(7)]
    bench.accept(delay=1000)

    assert [one.id for one in _suspects(bench, limit=limit)] == ids


def test_suspects_are_found_among_thousands(bench: Bench) -> None:
    ids = [bench.accept() for _ in range(1200)]
    for held, raw in bench.claim(room=1100):
        bench.start(held, id_of(raw))
    first = bench.claim_one("w2")

    assert [one.id for one in _suspects(bench, limit=30)] == ids[1100:]
    assert bench.run(claims.requeue(first, has_crashed=False))


def test_suspects_of_one_instant_are_found_together(bench: Bench) -> None:
    ids = [bench.accept() for _ in range(30)]
    for name in ids[10:20]:
        bench.raw.zadd("eyas:open", {name: bench.raw.zscore("eyas:open", ids[10])})

    page = bench.run(upkeep.find_suspects(older_than_seconds=0, limit=15))
    rest = bench.run(
        upkeep.find_suspects(older_than_seconds=0, limit=15, position=page.next_position)
    )

    assert [one.id for one in page.suspects][:10] == ids[:10]
    assert sorted(one.id for one in page.suspects[10:]) == sorted(ids[10:20])
    assert [one.id for one in rest.suspects] == ids[20:]
    assert rest.next_position is None


def test_what_ends_between_two_pages_hides_no_suspect(bench: Bench) -> None:
    ids = [bench.accept() for _ in range(6)]
    page = bench.run(upkeep.find_suspects(older_than_seconds=0, limit=3))
    for name in ids[:3]:
        bench.cancel(name)

    rest = bench.run(
        upkeep.find_suspects(older_than_seconds=0, limit=9, position=page.next_position)
    )

    assert [one.id for one in rest.suspects] == ids[3:]


# --- ids without messages --------------------------------------------------------------------


def _read_ids(bench: Bench, read: Callable[[int], Step[upkeep.Ids]]) -> list[tuple[str, ...]]:
    parts: list[tuple[str, ...]] = []
    position: int | None = 0
    while position is not None:
        part = bench.run(read(position))
        parts.append(part.ids)
        position = part.next_position
    return parts


@pytest.mark.parametrize("count", [0, 1, 4, 5, 84, 999, 1000, 1001, 2300])
def test_the_ids_of_a_list_are_read_in_parts(bench: Bench, count: int) -> None:
    if count:
        bench.raw.rpush(QUEUE, *(message(f"id-{number}") for number in range(count)))

    parts = _read_ids(bench, lambda position: upkeep.read_list_ids(QUEUE, position=position))

    assert [one for part in parts for one in part] == [f"id-{number}" for number in range(count)]
    assert max(map(len, parts)) <= 1000


def test_few_large_messages_are_read_at_a_time(bench: Bench) -> None:
    for number in range(12):
        body = b'{"body":"' + b"x" * 1_000_000 + b'",'
        bench.raw.rpush(QUEUE, body + message(f"id-{number}")[1:])
    held = bench.claim(room=6)
    assert len(held) == 6

    queued = _read_ids(bench, lambda position: upkeep.read_list_ids(QUEUE, position=position))
    claimed = _read_ids(bench, lambda position: upkeep.read_held_ids("w1", position=position))

    assert [numbers(part) for part in queued] == [[0, 1, 2, 3], [4, 5]]
    assert [numbers(part) for part in claimed] == [[11, 10, 9, 8], [7, 6]]


@pytest.mark.parametrize(
    "raw",
    [
        b'{"id": \t"one"}',
        b'{"body":"{\\"id\\":\\"none\\"}","headers":{"id" :"one"}}',
        b'{"id":"","headers":{"id":"one","root_id":"two"}}',
        b'{"id":7,"id":"%s","id":"one"}' % (b"x" * 201),
        b'{"id":"' + b"y" * 200 + b'"}',
        b'{"id":"\xc3\xbc","x":1}',
        b'{"id":"%1.%d"}',
        b'"id"',
        b"\x00\xff",
    ],
)
def test_the_broker_finds_the_id_that_we_find(bench: Bench, raw: bytes) -> None:
    bench.raw.rpush(QUEUE, raw)

    ((*found,),) = _read_ids(bench, lambda at: upkeep.read_list_ids(QUEUE, position=at))

    expected = id_in(raw)
    assert found == ([] if expected is None else [expected])


def test_a_lost_attempt_is_queued_again_and_its_slot_is_given_on(bench: Bench) -> None:
    ids = _park(bench, 1)
    bench.cancel("id-1")
    bench.raw.delete("eyas:in_flight:w1")
    (lost,) = [one for one in _suspects(bench, limit=9) if one.id == "id-1"]

    assert bench.run(upkeep.put_back(lost, message("id-1")))

    assert sorted(bench.queued_ids()) == sorted(["id-1", *ids])
    assert bench.raw.exists("eyas:slots:f", "eyas:running:w1", "eyas:cancelling:w1") == 0
    assert bench.run(upkeep.put_back(lost, message("id-1"))) is False
    bench.assert_conserved()


def test_what_moved_since_it_was_missed_is_not_put_back(bench: Bench) -> None:
    def put_back(suspect: upkeep.Suspect) -> Any:
        return bench.run(upkeep.put_back(suspect, message(suspect.id)))

    for _ in range(4):
        bench.accept()
    suspects = _suspects(bench, limit=9)
    held, _ = bench.run_one()
    bench.retry(held, "id-1")
    bench.run_one()
    bench.succeed(*bench.run_one())
    bench.cancel("id-4")

    assert [put_back(one) for one in suspects] == [False] * 4
    assert bench.queued_ids() == ["id-4"]


def test_an_open_id_without_a_record_is_forgotten(bench: Bench) -> None:
    name = bench.accept()
    bench.raw.delete(f"eyas:invocation:{name}")
    (suspect,) = _suspects(bench, limit=9)

    assert bench.run(upkeep.put_back(suspect, message(name))) is False
    assert _suspects(bench, limit=9) == []


def test_a_live_message_put_back_twice_runs_once(bench: Bench) -> None:
    name = bench.accept()
    (suspect,) = _suspects(bench, limit=9)
    assert bench.run(upkeep.put_back(suspect, message(name)))
    assert bench.queued_ids() == [name, name]
    held, _ = bench.run_one()
    other = bench.claim_one()
    bench.succeed(held, name)

    assert bench.start(other, name).verdict is Verdict.FINISHED
    assert bench.raw.exists(QUEUE, "eyas:in_flight:w1", "eyas:open") == 0
    bench.assert_conserved()


# --- functions that come later --------------------------------------------------------------


def _come_before_its_function(bench: Bench) -> tuple[Claim, str]:
    bench.raw.lpush(QUEUE, message("early"))
    held = bench.claim_one()
    bench.run(lifecycle.accept(stock("early", "unknown"), b""))
    assert bench.fail(held, "early") is not None
    assert bench.run(dead_letters.redrive("early", max_age_seconds=None))
    return bench.claim_one(), "early"


def stock(invocation_id: str, name: str) -> Invocation:
    return Invocation(
        id=invocation_id,
        function=name,
        payload=b'{"of":"%s"}' % name.encode(),
        trigger="celery",
        timeout_seconds=30,
        retries=0 if name == "unknown" else 4,
        max_age_seconds=None if name == "unknown" else 50,
    )


def test_a_redriven_message_takes_the_name_of_its_function(bench: Bench) -> None:
    held, name = _come_before_its_function(bench)

    for _ in range(2):
        answer = bench.run(lifecycle.accept(stock(name, "later"), b""))
        assert answer.outcome is Accepting.KNOWN
    bench.start(held, name)

    record = bench.record(name)
    assert (record.function, record.payload, record.max_attempts) == (
        "later",
        b'{"of":"later"}',
        5,
    )
    assert bench.raw.hexists(f"eyas:invocation:{name}", "expires_at")
    assert bench.counts("unknown") == {}
    assert bench.counts("later") == {"accepted": 1, "running": 1}
    bench.assert_conserved()


def test_a_name_is_taken_only_by_what_waits_without_one(bench: Bench) -> None:
    held, name = _come_before_its_function(bench)
    bench.run(lifecycle.accept(stock(name, "unknown"), b""))
    assert bench.record(name).function == "unknown"
    assert bench.fail(held, name) is not None
    known = bench.accept()

    for one in (name, known):
        answer = bench.run(lifecycle.accept(stock(one, "later"), b""))
        assert answer.outcome is Accepting.KNOWN

    assert bench.record(name).function == "unknown"
    assert bench.record(known).function == "f"
    assert bench.counts("later") == {}
    bench.assert_conserved()


def test_any_number_of_names_is_counted_under_one(bench: Bench) -> None:
    admission = Admission(
        registry=Registry.of([]),
        store=bench.store,
        settings=Settings.from_environment({}),
        take=lambda _: None,
    )
    for number in range(5):
        invocation = stock(f"id-{number}", f"nowhere_{number}")
        encoded = encode(invocation, None).replace(TRIGGER_HEADER.encode(), b"other")
        bench.raw.lpush(QUEUE, encoded, b'{"headers":{"task":"nothing_%d"}}' % number)
    for held, raw in bench.claim(room=10):
        assert admission.admit(held, raw) is None

    assert bench.raw.smembers("eyas:functions") == {b"unknown"}
    assert bench.raw.keys("eyas:counts:*") == [b"eyas:counts:unknown"]
    assert bench.raw.keys("eyas:dead:*") == [b"eyas:dead:unknown"]
    assert bench.counts("unknown") == {"accepted": 10, "failed": 10}
    page = bench.run(dead_letters.read_page(function="unknown", limit=99))
    errors = b" ".join(letter.error for letter in page.records).decode()
    for number in range(5):
        assert f"'nowhere_{number}'" in errors
        assert f"'nothing_{number}'" in errors
    bench.assert_conserved()


# --- ids that were -----------------------------------------------------------------------------


def test_an_id_is_told_from_one_never_seen_after_its_record(bench: Bench) -> None:
    bench.accept()
    held, name = bench.run_one()
    bench.succeed(held, name)
    bench.raw.delete(f"eyas:invocation:{name}")

    assert isinstance(bench.run(records.read(name, retention=RETENTION)), Gone)
    assert bench.run(records.read("never", retention=RETENTION)) is None
    (seen,) = bench.raw.keys("eyas:seen:*")
    lasts = bench.raw.ttl(seen)
    assert 4000 <= lasts <= 4000 + 86_400


def test_an_invocation_with_a_record_of_every_field_comes_back_whole(bench: Bench) -> None:
    payload = b'{"a":"\\u0000 \xc3\xbc %s %1"}'
    invocation = Invocation(
        id="!~-id",
        function="f",
        payload=payload,
        trigger="http",
        timeout_seconds=1,
        retries=5,
        max_age_seconds=0.5,
        request_id="r\n",
        replay_of="other",
    )
    bench.run(lifecycle.accept(invocation, message(invocation.id)))

    record = bench.record("!~-id")
    assert (record.payload, record.replay_of, record.max_attempts) == (payload, "other", 6)
    expires = bench.raw.hget("eyas:invocation:!~-id", "expires_at")
    assert expires is not None
    assert int(expires) == record.accepted_at_us + 500_000


def test_a_full_broker_is_asked_for_nothing_it_has_not(bench: Bench) -> None:
    def accept(name: str) -> Accepting:
        answer = bench.run(lifecycle.accept(an_invocation(name), message(name), max_open=2))
        assert isinstance(answer, lifecycle.Accepted)
        return answer.outcome

    assert [accept(f"id-{number}") for number in (1, 2, 3)] == [
        Accepting.ACCEPTED,
        Accepting.ACCEPTED,
        Accepting.FULL,
    ]
    assert accept("id-1") is Accepting.KNOWN
    bench.cancel("id-1")
    assert accept("id-3") is Accepting.ACCEPTED
    bench.assert_conserved()
