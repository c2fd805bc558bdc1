"""`Idempotency-Key`: a repeated request is the first one again."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from runtime.testing import Stack
from runtime.testing.stack import Response


def send(
    stack: Stack,
    key: str | None,
    body: bytes = b"{}",
    *,
    path: str = "/functions/echo",
    **headers: str,
) -> Response:
    given = {"Idempotency-Key": key} if key is not None else {}
    return stack.request(path, body=body, headers=given | headers, method="POST")


def accepted(stack: Stack) -> int:
    count: int = stack.request("/functions/echo").body["counts"]["accepted"]
    return count


def test_a_repeated_request_gets_the_first_ones_id(web_stack: Stack) -> None:
    first = send(web_stack, '"k"', b'{"b": [1, 2.0], "a": "\\u00fc"}')
    again = send(web_stack, "k", b'{"a":"\xc3\xbc", "b":[1,2.0]}')

    assert first.status == again.status == 202
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.body == first.body
    assert again.headers["location"] == first.headers["location"]
    assert accepted(web_stack) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (b"1", b"1.0"),
        (b"1", b"2"),
        (b"[1, 2]", b"[2, 1]"),
        (b'{"a": 1}', b'{"a": 1, "b": null}'),
        (b'"1"', b"1"),
        (b"1" + b"0" * 5_000, b"1" + b"0" * 4_999 + b"1"),
        (b"18446744073709551617", b"18446744073709551616"),
    ],
)
def test_another_payload_with_the_same_key_is_422(
    web_stack: Stack, first: bytes, second: bytes
) -> None:
    assert send(web_stack, "k", first).status == 202
    refused = send(web_stack, "k", second)

    assert refused.status == 422
    assert refused.body["type"] == "urn:eyas:problem:idempotency-conflict"
    assert "'k'" in refused.body["detail"]
    assert send(web_stack, "k", first).headers["idempotent-replayed"] == "true"
    assert accepted(web_stack) == 1


def test_an_empty_body_is_the_payload_of_no_members(web_stack: Stack) -> None:
    first = send(web_stack, "k", b"")

    assert send(web_stack, "k", b"{ }").body["id"] == first.body["id"]


def test_half_a_surrogate_pair_can_be_told_from_another(web_stack: Stack) -> None:
    # Python's own reader, which reads the long integer, takes them.
    text = b"[" + b"7" * 5_000 + b', "%s"]'

    assert send(web_stack, "k", text % b"\\ud800").status == 202
    assert send(web_stack, "k", text % b"\\ud801").status == 422
    assert send(web_stack, "k", text % b"\\ud800").headers["idempotent-replayed"] == "true"


def test_other_keys_and_other_functions_are_other_requests(web_stack: Stack) -> None:
    ids = {
        send(web_stack, "k", b'{"number": 1}').body["id"],
        send(web_stack, "l", b'{"number": 1}').body["id"],
        send(web_stack, "k", b'{"number": 1}', path="/functions/limited").body["id"],
        send(web_stack, None, b'{"number": 1}').body["id"],
        send(web_stack, None, b'{"number": 1}').body["id"],
    }

    assert len(ids) == 5


def test_quoted_keys_may_hold_more_characters(web_stack: Stack) -> None:
    first = send(web_stack, '"a \\"b\\", \\\\c"; unknown=1')

    assert first.status == 202
    assert send(web_stack, '"a \\"b\\", \\\\c"').body["id"] == first.body["id"]


@pytest.mark.parametrize(
    "key", ["", '""', '"', '"a', 'a"b', "a b", "a, b", "a\\b", '"\\a"', "x" * 256, "\u00fc"]
)
def test_malformed_keys_are_400(web_stack: Stack, key: str) -> None:
    answer = send(web_stack, key)

    assert answer.status == 400
    assert "Idempotency-Key" in answer.body["detail"]
    assert accepted(web_stack) == 0


def test_the_status_of_a_repeated_request_is_the_present_one(
    web_stack: Stack, acting_worker: Any
) -> None:
    first = send(web_stack, "k").body["id"]
    assert acting_worker.start()[1] == first
    assert send(web_stack, "k").body["status"] == "running"


def test_a_repeated_request_that_waits_gets_the_first_ones_outcome(
    web_stack: Stack, acting_worker: Any
) -> None:
    first = send(web_stack, "k").body["id"]
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(send, web_stack, "k", Prefer="wait=4") for _ in range(2)]
        time.sleep(0.2)
        assert acting_worker.succeed(5) == first
        answers = [one.result(9) for one in waiting]

    answers.append(send(web_stack, "k", Prefer="wait=4"))
    for answer in answers:
        assert answer.status == 200
        assert (answer.body["id"], answer.body["result"]) == (first, 5)
        assert answer.headers["idempotent-replayed"] == "true"
        assert answer.headers["preference-applied"] == "wait=4"
    assert send(web_stack, "k").body["status"] == "succeeded"


def test_a_repeated_request_gets_the_first_ones_error(web_stack: Stack, acting_worker: Any) -> None:
    first = send(web_stack, "k").body["id"]
    acting_worker.give_up()
    answer = send(web_stack, "k", Prefer="wait=5")

    assert answer.status == 500
    assert answer.body["invocation_id"] == first
    assert answer.body["error"]["type"] == "ValueError"
    assert answer.headers["idempotent-replayed"] == "true"


def test_a_repeated_request_waits_no_longer_than_it_wants(web_stack: Stack) -> None:
    first = send(web_stack, "k").body["id"]
    started = time.monotonic()
    answer = send(web_stack, "k", Prefer="wait=1")

    assert 1 <= time.monotonic() - started < 2
    assert (answer.status, answer.body["id"], answer.body["status"]) == (202, first, "queued")


@pytest.mark.parametrize("prefer", ["respond-async", "wait=1"])
def test_racing_first_requests_make_one_invocation(web_stack: Stack, prefer: str) -> None:
    for attempt in range(5):
        with ThreadPoolExecutor(16) as pool:
            key = f"race-{attempt}"
            answers = list(
                pool.map(lambda _, key=key: send(web_stack, key, Prefer=prefer), range(16))
            )
        assert {answer.status for answer in answers} == {202}
        assert len({answer.body["id"] for answer in answers}) == 1
        replayed = [answer.headers.get("idempotent-replayed") for answer in answers]
        assert sorted(replayed, key=str) == [None] + ["true"] * 15
        assert accepted(web_stack) == attempt + 1


def test_keys_are_forgotten_in_time(web_stack: Stack) -> None:
    send(web_stack, "k")
    with redis.Redis.from_url(web_stack.redis_url) as connection:
        assert 86_390 < connection.ttl("eyas:idempotency:echo:k") <= 86_400
        connection.delete("eyas:idempotency:echo:k")

    assert "idempotent-replayed" not in send(web_stack, "k").headers
    assert accepted(web_stack) == 2


def test_a_key_makes_repeating_safe_after_a_503(web_stack: Stack) -> None:
    send(web_stack, "warm-up")
    with redis.Redis.from_url(web_stack.redis_url) as connection:
        pid = connection.info("server")["process_id"]
    os.kill(pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        assert send(web_stack, "k").status == 503
        assert time.monotonic() - started < 2
    finally:
        os.kill(pid, signal.SIGCONT)

    web_stack.wait_for(lambda: send(web_stack, "k").status == 202, "the broker")
    again = send(web_stack, "k")

    assert again.headers["idempotent-replayed"] == "true"
    assert accepted(web_stack) == 2
