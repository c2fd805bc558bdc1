"""The scheduler: nothing is fired twice, nothing stays lost."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from runtime.message import QUEUE
from runtime.scheduler.reconciler import Search
from runtime.store import Store
from runtime.testing import Stack

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
    log = (stack.log_dir / "scheduler.log").read_text(encoding="utf-8")
    assert [json.loads(line)["invocation_id"] for line in log.splitlines() if lost in line] == [
        lost
    ]
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


def test_one_message_is_missed_among_thousands(stack: Stack) -> None:
    with redis.Redis.from_url(stack.redis_url) as connection:
        ids = [accept(stack, number) for number in range(40)]
        message = connection.lindex(QUEUE, 3)
        connection.lrem(QUEUE, 1, message)
        # As if many more had been accepted before and after, of which nothing is lost.
        others = [b'{"headers":{"id":"other-%d"}}' % number for number in range(4000)]
        connection.lpush(QUEUE, *others)
        connection.rpush(QUEUE, *others)
        search = Search(store=Store(stack.redis_url))

        suspects = search.suspects(older_than_seconds=0)
        missing = search.missing_at_the_head(suspects)

        assert {suspect.id for suspect in suspects} == set(ids)
        assert len(missing) == 40
        (lost,) = search.missing_everywhere(missing)
        assert lost == json.loads(message)["headers"]["id"]


def test_delayed_invocations_are_no_suspects(stack: Stack) -> None:
    accept(stack, 1, **{"Eyas-Delay": "600"})

    assert Search(store=Store(stack.redis_url)).suspects(older_than_seconds=0) == []
