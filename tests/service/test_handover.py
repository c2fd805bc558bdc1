"""Handing over, by real processes: who waits is given what web accepts, and nothing is lost."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import celery
import pytest
import redis

from runtime.message import QUEUE
from runtime.store import keys
from runtime.testing import Stack
from tests.asking import accept, assert_conserved, logged, record
from tests.cutting import Cut, proxy

SAMPLE_FUNCTIONS = Path(__file__).parent.parent / "sample_functions"


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack(functions_dir=SAMPLE_FUNCTIONS, environment={"EYAS_WORKERS": "1"}) as stack:
        yield stack


@pytest.fixture
def raw(stack: Stack) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(stack.redis_url) as raw:
        yield raw


@contextmanager
def behind_a_proxy(stack: Stack, *, piece_bytes: int = 0) -> Iterator[Cut]:
    """Have the worker reach the broker through a network that can be made bad."""
    stack.stop("worker")
    port = int(stack.redis_url.rpartition(":")[2].partition("/")[0])
    with proxy(port, piece_bytes=piece_bytes) as cut:
        stack._settings["REDIS_URL"] = f"redis://127.0.0.1:{cut.port}/0"
        stack.start("worker")
        del stack._settings["REDIS_URL"]
        stack.wait_until_ready()
        yield cut
        stack.kill("worker")


def listeners(raw: redis.Redis) -> list[str]:
    return [name.decode() for name in raw.pubsub_channels(keys.handover("*"))]


def channel_of(stack: Stack, raw: redis.Redis) -> str:
    stack.wait_for(lambda: len(listeners(raw)) == 1, "the worker to listen")
    return listeners(raw)[0]


def is_idle(raw: redis.Redis) -> bool:
    """Tell whether no worker holds anything."""
    return not raw.keys(keys.in_flight("*"))


def test_a_worker_that_waits_is_given_each_that_comes_alone(stack: Stack, raw: redis.Redis) -> None:
    with raw.pubsub(ignore_subscribe_messages=True) as spy:
        spy.subscribe(channel_of(stack, raw))
        for number in range(5):
            stack.wait_for(lambda: is_idle(raw), "the worker to have nothing to do")
            assert stack.invoke("nested", number) == number

        said: list[bytes] = []
        stack.wait_for(
            lambda: (
                (message := spy.get_message(timeout=0.1)) is not None
                and said.append(message["data"]) is None
                and len(said) == 5
            ),
            "all five to be handed over",
        )
    assert [b"nested" in one for one in said] == [True] * 5
    assert_conserved(stack)


def test_what_comes_faster_than_it_runs_is_run_too(stack: Stack) -> None:
    ids: list[str] = []

    def send() -> None:
        ids.extend(accept(stack, "nested", number) for number in range(50))

    senders = [threading.Thread(target=send) for _ in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()

    assert len(ids) == 200
    for one in ids:
        shown = record(stack, one, wait=30)
        assert (shown["status"], shown["attempt"]) == ("succeeded", 1)
    assert_conserved(stack)


def test_a_queue_that_is_not_to_be_consumed_is_not_listened_for(
    stack: Stack, raw: redis.Redis
) -> None:
    client = celery.Celery(broker=stack.redis_url)
    channel_of(stack, raw)
    stack.wait_for(
        lambda: bool(client.control.cancel_consumer(QUEUE, reply=True, timeout=1)), "the worker"
    )
    stack.wait_for(lambda: not listeners(raw), "it to listen no more")
    invocation_id = accept(stack, "nested", 1)
    assert raw.llen(QUEUE) == 1

    client.control.add_consumer(QUEUE, reply=True, timeout=1)

    assert record(stack, invocation_id, wait=30)["status"] == "succeeded"
    channel_of(stack, raw)
    client.close()


def test_what_is_handed_over_just_when_listening_ends_is_run(
    stack: Stack, raw: redis.Redis
) -> None:
    client = celery.Celery(broker=stack.redis_url)
    worker = stack.running["worker"]
    for _ in range(20):
        channel_of(stack, raw)
        assert client.control.cancel_consumer(QUEUE, reply=True, timeout=2, limit=1)
        os.kill(worker.pid, signal.SIGSTOP)
        if listeners(raw):
            break
        # It was quicker.
        os.kill(worker.pid, signal.SIGCONT)
        client.control.add_consumer(QUEUE, reply=True, timeout=2, limit=1)
    invocation_id = accept(stack, "nested", 1)
    assert not is_idle(raw)  # handed over, and not heard of
    time.sleep(0.6)  # what is due when it wakes comes before what there is to read

    os.kill(worker.pid, signal.SIGCONT)

    assert record(stack, invocation_id, wait=10)["status"] == "succeeded"
    stack.wait_for(lambda: not listeners(raw), "it to listen no more")
    client.close()


def test_a_connection_that_was_lost_without_a_word_is_noticed(
    stack: Stack, raw: redis.Redis
) -> None:
    with behind_a_proxy(stack) as cut:
        channel_of(stack, raw)
        stack.wait_for(lambda: is_idle(raw), "the worker to have nothing to do")
        cut.lose_subscribed()

        invocation_id = accept(stack, "nested", 1)

        assert not is_idle(raw)
        shown = record(stack, invocation_id, wait=15)
        assert (shown["status"], shown["attempt"]) == ("succeeded", 1)


def test_a_network_that_brings_a_large_one_in_pieces_does_no_harm(
    stack: Stack, raw: redis.Redis
) -> None:
    with behind_a_proxy(stack, piece_bytes=1400):
        channel_of(stack, raw)
        for _ in range(3):
            stack.wait_for(lambda: is_idle(raw), "the worker to have nothing to do")
            assert stack.invoke("nested", "x" * 25_000) == "x" * 25_000

        assert len(logged(stack, lambda line: line["event"] == "worker.ready")) == 2
    assert not logged(stack, lambda line: "Connection to broker lost" in line["event"])


def test_a_lost_connection_loses_nothing_that_was_on_its_way(
    stack: Stack, raw: redis.Redis
) -> None:
    worker = stack.running["worker"]
    for number in (1, 2, 3):
        channel_of(stack, raw)
        stack.wait_for(lambda: is_idle(raw), "the worker to have nothing to do")
        os.kill(worker.pid, signal.SIGSTOP)
        try:
            invocation_id = accept(stack, "nested", number)
            assert not is_idle(raw)  # handed over, and not heard of
            raw.client_kill_filter(_type="pubsub", skipme=True)
        finally:
            os.kill(worker.pid, signal.SIGCONT)

        shown = record(stack, invocation_id, wait=30)
        assert (shown["status"], shown["result"], shown["attempt"]) == ("succeeded", number, 1)
    assert worker.poll() is None
    assert_conserved(stack)


def test_what_was_handed_to_a_worker_that_is_killed_is_run_by_the_next(
    stack: Stack, raw: redis.Redis
) -> None:
    channel_of(stack, raw)
    stack.wait_for(lambda: is_idle(raw), "the worker to have nothing to do")
    os.kill(stack.running["worker"].pid, signal.SIGSTOP)
    invocation_id = accept(stack, "nested", {"a": 1})
    assert not is_idle(raw)

    stack.kill("worker")
    stack.start("worker")

    shown = record(stack, invocation_id, wait=30)
    assert (shown["status"], shown["result"]) == ("succeeded", {"a": 1})
    assert logged(stack, lambda line: line["event"] == "lease.lapsed", process="scheduler")
    assert_conserved(stack)


def test_nothing_is_handed_to_a_worker_that_was_killed(stack: Stack, raw: redis.Redis) -> None:
    channel_of(stack, raw)

    stack.kill("worker")

    stack.wait_for(lambda: not listeners(raw), "the broker to notice")
    accept(stack, "nested", 1)
    assert raw.llen(QUEUE) == 1


def test_a_worker_listens_before_it_is_known_to_take_messages() -> None:
    with Stack(functions_dir=SAMPLE_FUNCTIONS, processes=("broker", "web")) as stack:
        stack.wait_for(lambda: stack.request("/functions/nested").status == 200, "the broker")
        said: list[str] = []
        with redis.Redis.from_url(stack.redis_url) as raw, raw.monitor() as monitor:
            stack.start("worker")
            stack.wait_for(
                lambda: (
                    said.append(monitor.next_command()["command"]) is None
                    and "SADD eyas:consuming" in said[-1]
                ),
                "the worker to take messages",
            )
    assert any(one.startswith("SUBSCRIBE eyas:handover:") for one in said)
