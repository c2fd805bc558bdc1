"""Messages: given back, in their order, as they were; step by step."""

import pytest

from runtime.invocation import Status
from runtime.store import claims, dead_letters, lifecycle
from runtime.store.lifecycle import Verdict
from tests.store_bench import LESS_URGENT, QUEUE, Bench, an_invocation, id_of, message, numbers

# --- giving back -----------------------------------------------------------------------------


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


# --- queues ----------------------------------------------------------------------------------


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
