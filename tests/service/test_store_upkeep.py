"""What the scheduler does: queue what is due, find what is lost; step by step."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from runtime.message import id_in
from runtime.store import Store, claims, upkeep
from runtime.store.lifecycle import Verdict
from runtime.store.step import Step
from runtime.testing import Stack
from tests.store_bench import QUEUE, Bench, id_of, message, numbers

# --- what is due -----------------------------------------------------------------------------


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


# --- what is lost ----------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_suspects_are_found_to_the_last_whatever_the_limit(bench: Bench, limit: int) -> None:
    ids = [bench.accept() for _ in range(7)]
    bench.accept(delay=1000)

    assert [one.id for one in bench.find_suspects(limit=limit)] == ids


def test_suspects_are_found_among_thousands(bench: Bench) -> None:
    ids = [bench.accept() for _ in range(1200)]
    for held, raw in bench.claim(room=1100):
        bench.start(held, id_of(raw))
    first = bench.claim_one("w2")

    assert [one.id for one in bench.find_suspects(limit=30)] == ids[1100:]
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
    ids = bench.park(1)
    bench.cancel("id-1")
    bench.raw.delete("eyas:in_flight:w1")
    (lost,) = [one for one in bench.find_suspects(limit=9) if one.id == "id-1"]

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
    suspects = bench.find_suspects(limit=9)
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
    (suspect,) = bench.find_suspects(limit=9)

    assert bench.run(upkeep.put_back(suspect, message(name))) is False
    assert bench.find_suspects(limit=9) == []


def test_a_live_message_put_back_twice_runs_once(bench: Bench) -> None:
    name = bench.accept()
    (suspect,) = bench.find_suspects(limit=9)
    assert bench.run(upkeep.put_back(suspect, message(name)))
    assert bench.queued_ids() == [name, name]
    held, _ = bench.run_one()
    other = bench.claim_one()
    bench.succeed(held, name)

    assert bench.start(other, name).verdict is Verdict.FINISHED
    assert bench.raw.exists(QUEUE, "eyas:in_flight:w1", "eyas:open") == 0
    bench.assert_conserved()
