"""The broker down, hung and back: clear answers, and nothing accepted is lost."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis

from runtime.testing import Stack
from runtime.testing.stack import Response

SAMPLE_FUNCTIONS = Path(__file__).parent.parent / "sample_functions"


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack(functions_dir=SAMPLE_FUNCTIONS, environment={"EYAS_WORKERS": "1"}) as stack:
        yield stack


def timed(stack: Stack, path: str, **options: object) -> tuple[float, Response]:
    started = time.monotonic()
    answer = stack.request(path, **options)  # type: ignore[arg-type]
    return time.monotonic() - started, answer


def refuses(stack: Stack) -> None:
    for path, options in [
        ("/functions/sleep", {"body": b'{"seconds": 0}'}),
        ("/functions/sleep", {"body": b'{"seconds": 0}', "headers": {"Prefer": "wait=9"}}),
        ("/invocations/some-id", {}),
        ("/readyz", {}),
    ]:
        seconds, answer = timed(stack, path, **options)
        assert answer.status == 503, (path, answer.raw)
        assert answer.headers["retry-after"] == "1"
        assert answer.body["detail"]
        assert seconds < 2, path
    assert timed(stack, "/healthz")[1].status == 200
    assert timed(stack, "/ping")[1].status == 200


def test_a_killed_broker_is_503_at_once_and_comes_back_with_everything(stack: Stack) -> None:
    accepted = [
        stack.request("/functions/sleep", body=b'{"seconds": 0.2}').body["id"] for _ in range(5)
    ]
    _kill_server(stack)
    refuses(stack)

    stack.start("broker")
    stack.wait_until_ready()

    for invocation_id in accepted:
        record = stack.request(f"/invocations/{invocation_id}", headers={"Prefer": "wait=30"}).body
        assert record["status"] == "succeeded"
    assert stack.invoke("sleep", {"seconds": 0}) == "slept"


def test_a_hung_broker_is_503_within_two_seconds_and_recovers_by_itself(stack: Stack) -> None:
    pid = _server_pid(stack)

    os.kill(pid, signal.SIGSTOP)
    try:
        refuses(stack)
    finally:
        os.kill(pid, signal.SIGCONT)

    stack.wait_until_ready()
    assert stack.invoke("sleep", {"seconds": 0}) == "slept"


def test_a_wait_ends_in_time_though_the_broker_hangs(stack: Stack) -> None:
    running = stack.request("/functions/sleep", body=b'{"seconds": 12}').body["id"]
    stack.wait_for(
        lambda: stack.request("/functions/sleep").body["counts"]["running"] == 1, "it to run"
    )
    with redis.Redis.from_url(stack.redis_url) as connection, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(
            timed, stack, f"/invocations/{running}", headers={"Prefer": "wait=3"}, seconds=30.0
        )
        channel = f"eyas:invocation:{running}"
        stack.wait_for(lambda: connection.pubsub_numsub(channel)[0][1] == 1, "the waiter")
        pid = _server_pid(stack)
        connection.publish(channel, "a reason to read the record")
        os.kill(pid, signal.SIGSTOP)
        try:
            seconds, answer = waiting.result(30)
        finally:
            os.kill(pid, signal.SIGCONT)
    assert (answer.status, answer.body["status"]) == (200, "running")
    assert seconds < 8


def test_waiters_survive_a_broker_restart(stack: Stack) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(stack.invoke, "sleep", {"seconds": 3}, seconds=40)
        stack.wait_for(
            lambda: stack.request("/functions/sleep").body["counts"]["running"] == 1, "it to run"
        )
        _kill_server(stack)
        stack.start("broker")

        assert waiting.result(60) == "slept"


def test_a_result_that_was_computed_meanwhile_is_stored_when_the_broker_is_back(
    stack: Stack, tmp_path: Path
) -> None:
    body = b'{"seconds": 1, "marker": "%s"}' % str(tmp_path / "starts").encode()
    invocation_id = stack.request("/functions/sleep", body=body).body["id"]
    stack.wait_for((tmp_path / "starts").exists, "the attempt to start")
    _kill_server(stack)
    stack.wait_for(
        lambda: "store.waiting" in (stack.log_dir / "worker.log").read_text(encoding="utf-8"),
        "the attempt to end",
    )

    stack.start("broker")

    stack.wait_until_ready()
    record = stack.request(f"/invocations/{invocation_id}", headers={"Prefer": "wait=30"}).body
    assert (record["status"], record["attempt"]) == ("succeeded", 1)


def test_a_full_broker_refuses_work_and_goes_on_with_what_it_has(stack: Stack) -> None:
    accepted = [
        stack.request("/functions/sleep", body=b'{"seconds": 0.3}').body["id"] for _ in range(5)
    ]
    # Due when there is nothing to do, and the worker waits.
    delayed = stack.request(
        "/functions/sleep", body=b'{"seconds": 0}', headers={"Eyas-Delay": "5"}
    ).body["id"]
    with redis.Redis.from_url(stack.redis_url) as connection:
        connection.config_set("maxmemory", "1mb")
        answer = stack.request("/functions/sleep", body=b'{"seconds": 0}')
        assert answer.status == 503
        assert "OOM" in answer.body["detail"]

        for invocation_id in [*accepted, delayed]:
            path = f"/invocations/{invocation_id}"
            record = stack.request(path, headers={"Prefer": "wait=30"}).body
            assert record["status"] == "succeeded"
        connection.config_set("maxmemory", "0")
    assert stack.invoke("sleep", {"seconds": 0}) == "slept"


def test_a_read_only_broker_is_503_and_everything_goes_on_after_it(stack: Stack) -> None:
    invocation_id = stack.request("/functions/sleep", body=b'{"seconds": 2}').body["id"]
    stack.wait_for(
        lambda: stack.request(f"/invocations/{invocation_id}").body["status"] == "running", "it"
    )
    with redis.Redis.from_url(stack.redis_url) as connection:
        connection.execute_command("REPLICAOF", "127.0.0.1", "1")
        answer = stack.request("/functions/sleep", body=b'{"seconds": 0}')
        assert answer.status == 503
        assert "READONLY" in answer.body["detail"]
        assert stack.request(f"/invocations/{invocation_id}").status == 200
        stack.wait_for(
            lambda: "store.waiting" in (stack.log_dir / "worker.log").read_text(encoding="utf-8"),
            "the worker to notice",
        )

        connection.execute_command("REPLICAOF", "NO", "ONE")

    record = stack.request(f"/invocations/{invocation_id}", headers={"Prefer": "wait=30"}).body
    assert record["status"] == "succeeded"
    assert stack.invoke("sleep", {"seconds": 0}) == "slept"


def _kill_server(stack: Stack) -> None:
    os.kill(_server_pid(stack), signal.SIGKILL)
    process = stack.running.pop("broker")
    assert process.wait(10) != 0


def _server_pid(stack: Stack) -> int:

    with redis.Redis.from_url(stack.redis_url) as connection:
        pid: int = connection.info("server")["process_id"]
    return pid
