"""The scheduler: nothing is fired twice, nothing stays lost."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from runtime.invocation import Invocation
from runtime.message import QUEUE
from runtime.scheduler.reconciler import Reconcile, Search
from runtime.settings import Settings
from runtime.store import Store, lifecycle
from runtime.testing import Stack
from tests.asking import logged

SAMPLE_FUNCTIONS = Path(__file__).parent.parent / "sample_functions"


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack(functions_dir=SAMPLE_FUNCTIONS, processes=("broker", "web")) as stack:
        stack.wait_for(lambda: stack.request("/readyz").body["title"] == "Not ready", "web")
        stack.wait_for(
            lambda: stack.request("/functions/nested", body=b"[]").status == 202, "the broker"
        )
        with redis.Redis.from_url(stack.redis_url) as connection:
            connection.flushall()
        yield stack


def accept(stack: Stack, payload: object, **headers: str) -> str:
    answer = stack.request("/functions/nested", body=json.dumps(payload).encode(), headers=headers)
    invocation_id: str = answer.body["id"]
    return invocation_id


def queued_ids(connection: redis.Redis) -> list[str]:
    return [json.loads(one)["headers"]["id"] for one in connection.lrange(QUEUE, 0, -1)]


def test_two_schedulers_queue_what_is_due_once(stack: Stack) -> None:
    ids = [accept(stack, number, **{"Eyas-Delay": "0.5"}) for number in range(60)]
    stack.start("scheduler")
    stack.start("scheduler", instance="second")
    with redis.Redis.from_url(stack.redis_url) as connection:
        stack.wait_for(lambda: connection.zcard("eyas:delayed") == 0, "all to be due")

        assert sorted(queued_ids(connection)) == sorted(ids)


def test_what_was_lost_is_found_and_the_log_says_so(stack: Stack) -> None:
    ids = [accept(stack, number) for number in range(5)]
    with redis.Redis.from_url(stack.redis_url) as connection:
        message = connection.lindex(QUEUE, 2)
        assert connection.lrem(QUEUE, 1, message) == 1
        stack.start("scheduler")
        stack.wait_for(lambda: connection.llen(QUEUE) == 5, "it to be put back")

        assert sorted(queued_ids(connection)) == sorted(ids)
    lost = json.loads(message)["headers"]["id"]

    def found() -> list[dict[str, Any]]:  # the line comes after what it tells of
        return logged(stack, lambda line: line.get("invocation_id") == lost, process="scheduler")

    stack.wait_for(lambda: bool(found()), "the log line")
    assert len(found()) == 1
    stack.start("worker")

    for invocation_id in ids:
        path = f"/invocations/{invocation_id}"
        assert stack.request(path, headers={"Prefer": "wait=30"}).body["status"] == "succeeded"


def test_a_purge_by_a_celery_program_loses_nothing(stack: Stack) -> None:
    ids = [accept(stack, number) for number in range(3)]
    with redis.Redis.from_url(stack.redis_url) as connection:
        connection.delete(QUEUE)
    stack.start("scheduler")
    stack.start("worker")

    for number, invocation_id in enumerate(ids):
        path = f"/invocations/{invocation_id}"
        assert stack.request(path, headers={"Prefer": "wait=30"}).body["result"] == number


@pytest.fixture
def store(broker: Stack) -> Iterator[Store]:
    """A store on an empty broker; nothing else runs."""
    store = Store(broker.redis_url)
    with redis.Redis.from_url(broker.redis_url) as connection:
        connection.flushall()
    yield store
    store.close()


def queue(store: Store, invocation_id: str, *, payload: bytes = b"{}") -> bytes:
    """Accept an invocation; return its message."""
    invocation = Invocation(
        id=invocation_id, function="f", payload=payload, trigger="http", timeout_seconds=30
    )
    encoded = b'{"body":%s,"headers":{"id":"%s"}}' % (payload, invocation_id.encode())
    store.run(lifecycle.accept(invocation, encoded))
    return encoded


def reconciler(store: Store, *, most: int = 50_000) -> Reconcile:
    return Reconcile(
        store=store,
        retention=Settings.from_environment({}).retention,
        older_than_seconds=0,
        most=most,
    )


def test_one_message_is_missed_among_thousands(store: Store, raw: redis.Redis) -> None:
    messages = [queue(store, f"id-{number}") for number in range(40)]
    raw.lrem(QUEUE, 1, messages[3])
    # As if many more had been accepted before and after, of which nothing is lost.
    others = [b'{"headers":{"id":"other-%d"}}' % number for number in range(4000)]
    raw.lpush(QUEUE, *others)
    raw.rpush(QUEUE, *others)
    search = Search(store=store)

    found = search.suspects(older_than_seconds=0)

    assert found.next_position is None
    assert [suspect.id for suspect in found.suspects] == [f"id-{number}" for number in range(40)]
    assert list(search.missing(found.suspects)) == ["id-3"]
    assert [suspect.id for suspect in search.lost()] == ["id-3"]


@pytest.mark.parametrize("place", ["queue", "less urgent", "landing", "in flight", "parked"])
def test_no_place_is_overlooked(store: Store, raw: redis.Redis, place: str) -> None:
    encoded = queue(store, "id-1")
    raw.delete(QUEUE)
    raw.zadd("eyas:leases", {"w1": 1})
    raw.sadd("eyas:parked", "f")
    match place:
        case "queue":
            raw.lpush(QUEUE, encoded)
        case "less urgent":
            raw.lpush(f"{QUEUE}\x06\x169", encoded)
        case "landing":
            raw.lpush("eyas:landing:w1", encoded)
        case "in flight":
            raw.hset("eyas:in_flight:w1", "1:1:celery", encoded)
        case "parked":
            raw.lpush("eyas:parked:f", QUEUE.encode() + b"\n" + encoded)

    assert Search(store=store).lost() == []


def test_large_payloads_stay_in_the_broker(store: Store, raw: redis.Redis) -> None:
    for number in range(20):
        queue(store, f"id-{number}", payload=b'"' + b"x" * 500_000 + b'"')
    before = raw.info("stats")["total_net_output_bytes"]

    reconciler(store).act()
    lost = Search(store=store).lost()

    assert lost == []
    assert raw.info("stats")["total_net_output_bytes"] - before < 50_000


def test_nothing_is_read_when_nothing_is_suspected(store: Store, raw: redis.Redis) -> None:
    raw.lpush(QUEUE, *(b'{"headers":{"id":"other-%d"}}' % number for number in range(3)))
    raw.config_resetstat()

    assert reconciler(store).act() == 5.0

    commands = raw.info("commandstats")
    assert "cmdstat_zrange" in commands
    assert "cmdstat_lrange" not in commands


def test_what_is_parked_for_long_hides_nothing_lost(store: Store, raw: redis.Redis) -> None:
    raw.sadd("eyas:parked", "f")
    for number in range(1100):
        encoded = queue(store, f"parked-{number}")
        raw.lpush("eyas:parked:f", QUEUE.encode() + b"\n" + encoded)
        raw.hset(f"eyas:invocation:parked-{number}", "parked", 1)
    queue(store, "lost")
    raw.delete(QUEUE)
    # A parked one may be lost as well, while others wait.
    raw.rpop("eyas:parked:f")
    chore = reconciler(store, most=400)

    rounds = 0
    while raw.llen(QUEUE) < 2:
        chore.act()
        rounds += 1
        assert rounds <= 4

    assert queued_ids(raw) == ["parked-0", "lost"]
    chore.act()
    assert raw.llen(QUEUE) == 2
    raw.delete(QUEUE)
    for _ in range(4):
        chore.act()
    assert sorted(queued_ids(raw)) == ["lost", "parked-0"], "it begins anew at the end"


def test_delayed_invocations_are_no_suspects(stack: Stack) -> None:
    accept(stack, 1, **{"Eyas-Delay": "600"})

    store = Store(stack.redis_url)
    assert Search(store=store).suspects(older_than_seconds=0).suspects == ()
    store.close()
