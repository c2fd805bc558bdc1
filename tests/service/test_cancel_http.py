"""Cancelling, delaying and replaying invocations, and ids whose records have expired."""

import socket
import threading
import time
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from runtime.testing import Stack
from runtime.testing.stack import Response


def invoke(stack: Stack, body: bytes = b"{}", **headers: str) -> str:
    answer = stack.request("/functions/echo", body=body, headers=headers)
    assert answer.status == 202, answer.raw
    invocation_id: str = answer.body["id"]
    return invocation_id


def cancel(stack: Stack, invocation_id: str) -> Response:
    return stack.request(f"/invocations/{invocation_id}", method="DELETE")


def replay(stack: Stack, invocation_id: str, body: bytes | None = None, **headers: str) -> Response:
    return stack.request(
        f"/invocations/{invocation_id}/replay", method="POST", body=body, headers=headers
    )


def record(stack: Stack, invocation_id: str) -> Any:
    return stack.request(f"/invocations/{invocation_id}").body


def expire(stack: Stack, invocation_id: str) -> None:
    with redis.Redis.from_url(stack.redis_url) as connection:
        assert connection.delete(f"eyas:invocation:{invocation_id}") == 1


def test_what_waits_is_cancelled_and_never_runs(web_stack: Stack, acting_worker: Any) -> None:
    invocation_id = invoke(web_stack)
    answer = cancel(web_stack, invocation_id)

    assert answer.status == 202
    assert answer.body == {"id": invocation_id, "function": "echo", "status": "cancelled"}
    shown = record(web_stack, invocation_id)
    assert shown["status"] == "cancelled"
    assert shown["error"]["type"] == "Cancelled"
    assert shown["error"]["stack_trace"] == []
    assert shown["finished_at"] >= shown["accepted_at"]
    assert web_stack.request(f"/status/{invocation_id}").body["status"] == "REVOKED"
    assert web_stack.request("/functions/echo").body["counts"]["cancelled"] == 1


def test_what_is_delayed_is_cancelled(web_stack: Stack) -> None:
    invocation_id = invoke(web_stack, **{"Eyas-Delay": "500"})

    assert cancel(web_stack, invocation_id).body["status"] == "cancelled"
    assert record(web_stack, invocation_id)["due_at"] is None


def test_what_runs_is_being_stopped(web_stack: Stack, acting_worker: Any) -> None:
    invocation_id = invoke(web_stack)
    acting_worker.start()
    answer = cancel(web_stack, invocation_id)

    assert (answer.status, answer.body["status"]) == (202, "running")
    with redis.Redis.from_url(web_stack.redis_url) as connection:
        assert connection.smembers("eyas:cancelling:acting") == {invocation_id.encode()}


def test_what_is_finished_stays_as_it_is(web_stack: Stack, acting_worker: Any) -> None:
    invocation_id = invoke(web_stack)
    acting_worker.succeed(1)
    answer = cancel(web_stack, invocation_id)

    assert answer.status == 409
    assert answer.body["type"] == "urn:eyas:problem:invocation-finished"
    assert record(web_stack, invocation_id)["status"] == "succeeded"
    assert cancel(web_stack, invocation_id).status == 409


def test_who_waits_hears_of_the_cancelling(web_stack: Stack) -> None:
    def cancel_soon() -> None:
        web_stack.wait_for(
            lambda: web_stack.request("/functions/echo").body["counts"]["queued"] == 1, "it"
        )
        with redis.Redis.from_url(web_stack.redis_url) as connection:
            ((name, _),) = connection.zscan_iter("eyas:open")
        cancel(web_stack, name.decode())

    canceller = threading.Thread(target=cancel_soon)
    canceller.start()
    answer = web_stack.request("/functions/echo", body=b"{}", headers={"Prefer": "wait=4"})
    canceller.join()

    assert answer.status == 500
    assert answer.body["type"] == "urn:eyas:problem:invocation-cancelled"
    assert answer.body["function_status"] == "cancelled"
    assert answer.body["error"]["type"] == "Cancelled"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/invocations/{}"),
        ("DELETE", "/invocations/{}"),
        ("POST", "/invocations/{}/replay"),
        ("GET", "/status/{}"),
    ],
)
def test_ids_are_404_if_never_seen_and_410_if_their_records_are_gone(
    web_stack: Stack, acting_worker: Any, method: str, path: str
) -> None:
    invocation_id = invoke(web_stack)
    acting_worker.succeed(1)
    expire(web_stack, invocation_id)

    gone = web_stack.request(path.format(invocation_id), method=method)
    assert gone.status == 410, gone.raw
    assert gone.body["type"] == "urn:eyas:problem:expired-invocation"
    assert invocation_id in gone.body["detail"]
    for unknown in ("never-seen", "%20", "x" * 300):
        answer = web_stack.request(path.format(unknown), method=method)
        assert answer.status == 404
        assert answer.body["type"] == "urn:eyas:problem:unknown-invocation"


def test_a_key_whose_invocation_has_expired_is_410(web_stack: Stack, acting_worker: Any) -> None:
    invocation_id = invoke(web_stack, **{"Idempotency-Key": "k"})
    acting_worker.succeed(1)
    expire(web_stack, invocation_id)

    for headers in ({}, {"Prefer": "wait=5"}):
        answer = web_stack.request(
            "/functions/echo", body=b"{}", headers={"Idempotency-Key": "k"} | headers
        )
        assert answer.status == 410


def test_a_replay_is_a_new_invocation_of_the_same_payload(
    web_stack: Stack, acting_worker: Any
) -> None:
    first = invoke(web_stack, b'{"a":   18446744073709551617}')
    acting_worker.give_up()
    answer = replay(web_stack, first)

    assert answer.status == 202
    second = answer.body["id"]
    assert second != first
    assert answer.body == {
        "id": second,
        "function": "echo",
        "status": "queued",
        "replay_of": first,
    }
    assert answer.headers["location"] == f"/invocations/{second}"
    shown = record(web_stack, second)
    assert (shown["replay_of"], shown["trigger"]) == (first, "http")
    assert shown["payload"] == {"a": 2**64 + 1}
    assert record(web_stack, first)["status"] == "failed"
    assert record(web_stack, first)["replay_of"] is None


def test_a_replay_can_have_another_payload(web_stack: Stack) -> None:
    first = web_stack.request("/functions/limited", body=b'{"number": 1}').body["id"]

    second = replay(web_stack, first, b'{"number": 2}').body["id"]
    assert record(web_stack, second)["payload"] == {"number": 2}
    assert replay(web_stack, first, b'{"number": "x"}').status == 422
    assert replay(web_stack, first, b'{"number":').status == 400
    for _ in range(50):  # nobody is cut off while still sending
        assert replay(web_stack, first, b"x" * 4_000_000).status == 413
    assert web_stack.request("/functions/limited").body["counts"]["accepted"] == 2


def test_a_replay_can_be_waited_for_delayed_and_repeated(
    web_stack: Stack, acting_worker: Any
) -> None:
    first = invoke(web_stack, b"7", **{"Idempotency-Key": "k"})
    acting_worker.give_up()

    assert replay(web_stack, first, **{"Idempotency-Key": "k"}).status == 422
    once = replay(web_stack, first, **{"Idempotency-Key": "l"})
    twice = replay(web_stack, first, **{"Idempotency-Key": "l", "Prefer": "wait=1"})
    assert once.body["id"] == twice.body["id"]
    assert twice.headers["idempotent-replayed"] == "true"
    late = replay(web_stack, first, **{"Eyas-Delay": "100"}).body["id"]
    assert record(web_stack, late)["due_at"] is not None
    acting_worker.succeed(8)
    done = replay(web_stack, first, **{"Idempotency-Key": "l", "Prefer": "wait=1"})
    assert (done.status, done.body["result"]) == (200, 8)


def test_a_replay_keeps_to_the_limits_of_payloads(web_stack: Stack) -> None:
    large = b'"' + b"x" * 2_000_000 + b'"'
    waited = web_stack.request("/functions/echo", body=large, headers={"Prefer": "wait=1"})
    first = waited.body["id"]

    assert replay(web_stack, first).status == 413
    assert replay(web_stack, first, Prefer="wait=1").status == 202


def test_what_was_once_a_function_cannot_be_replayed(web_stack: Stack) -> None:
    invocation_id = invoke(web_stack)
    with redis.Redis.from_url(web_stack.redis_url) as connection:
        connection.hset(f"eyas:invocation:{invocation_id}", "function", "removed")

    answer = replay(web_stack, invocation_id)
    assert answer.status == 404
    assert answer.body["type"] == "urn:eyas:problem:unknown-function"


@pytest.mark.parametrize("delay", ["2.5", "100", "1000"])
def test_a_delayed_invocation_says_when_it_is_due(web_stack: Stack, delay: str) -> None:
    shown = record(web_stack, invoke(web_stack, **{"Eyas-Delay": delay}))

    assert shown["status"] == "queued"
    accepted, due = (datetime.fromisoformat(shown[name]) for name in ("accepted_at", "due_at"))
    assert (due - accepted).total_seconds() == float(delay)


def test_no_delay_is_no_delay(web_stack: Stack, acting_worker: Any) -> None:
    invocation_id = invoke(web_stack, **{"Eyas-Delay": "0"})

    assert record(web_stack, invocation_id)["due_at"] is None
    assert acting_worker.take()[1] == invocation_id


@pytest.mark.parametrize("delay", ["", "x", "-1", "1e3", "1001", "1000.1", "nan", ".5", "1 2"])
def test_malformed_delays_are_400(web_stack: Stack, delay: str) -> None:
    answer = web_stack.request("/functions/echo", body=b"{}", headers={"Eyas-Delay": delay})

    assert answer.status == 400
    assert "Eyas-Delay" in answer.body["detail"]
    assert "1000" in answer.body["detail"]


def test_a_client_that_hangs_up_is_not_waited_for(web_stack: Stack) -> None:
    invocation_id = invoke(web_stack)
    address = urlsplit(web_stack.url)

    def is_watched() -> bool:
        with redis.Redis.from_url(web_stack.redis_url) as connection:
            return f"eyas:invocation:{invocation_id}".encode() in connection.pubsub_channels()

    with socket.create_connection((address.hostname, address.port)) as client:
        client.sendall(
            f"GET /invocations/{invocation_id} HTTP/1.1\r\nHost: localhost\r\n"
            "Prefer: wait=50\r\n\r\n".encode()
        )
        web_stack.wait_for(is_watched, "the subscription")
        time.sleep(0.2)
        assert is_watched()

    web_stack.wait_for(lambda: not is_watched(), "its end", seconds=2)


def test_a_delayed_invocation_runs_in_time_and_can_be_waited_for(sample_stack: Stack) -> None:
    headers = {"Eyas-Delay": "1.5", "Prefer": "wait=20"}
    answer = sample_stack.request("/functions/nested", body=b"5", headers=headers)

    assert (answer.status, answer.body["result"]) == (200, 5)
    shown = record(sample_stack, answer.body["id"])
    assert 1500 <= shown["queue_wait_ms"] < 4000
    assert shown["due_at"] is None


def test_a_running_handler_is_stopped(sample_stack: Stack) -> None:
    body = b'{"seconds": 60}'
    invocation_id = sample_stack.request("/functions/sleep", body=body).body["id"]
    sample_stack.wait_for(
        lambda: record(sample_stack, invocation_id)["status"] == "running", "it to run"
    )
    assert cancel(sample_stack, invocation_id).body["status"] == "running"
    path = f"/invocations/{invocation_id}"
    shown = sample_stack.request(path, headers={"Prefer": "wait=20"}).body

    assert shown["status"] == "cancelled"
    assert shown["error"]["type"] == "Cancelled"
    assert cancel(sample_stack, invocation_id).status == 409


def test_a_redriven_dead_letter_runs_again(sample_stack: Stack) -> None:
    failed = sample_stack.request("/functions/fail", body=b"{}", headers={"Prefer": "wait=20"})
    invocation_id = failed.body["invocation_id"]

    def reason() -> Any:
        return sample_stack.request(f"/dead-letters/{invocation_id}").body.get("reason")

    first = record(sample_stack, invocation_id)
    assert reason() == "RetriesExhausted"
    redriven = sample_stack.request(f"/dead-letters/{invocation_id}/redrive", method="POST")
    assert redriven.status == 202
    path = f"/invocations/{invocation_id}"
    second = sample_stack.request(path, headers={"Prefer": "wait=20"}).body
    assert (second["status"], second["attempt"]) == ("failed", 2)
    assert second["finished_at"] > first["finished_at"]
    assert reason() == "RetriesExhausted"
