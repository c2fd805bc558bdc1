"""The batch route: many payloads in one request, all or nothing."""

import json
from typing import Any

import pytest
import redis

from runtime.testing import Stack
from runtime.testing.stack import Response

NDJSON = {"Content-Type": "application/x-ndjson"}


def send(stack: Stack, body: bytes, *, name: str = "limited", **headers: str) -> Response:
    sent = {key.replace("_", "-"): value for key, value in headers.items()}
    return stack.request(f"/functions/{name}/batch", body=body, headers=sent)


def counts(stack: Stack, name: str = "limited") -> Any:
    return stack.request(f"/functions/{name}").body["counts"]


def numbers(count: int) -> bytes:
    return json.dumps([{"number": number} for number in range(count)]).encode()


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b' [{"number": 1}, {"number" : 2},{"number":3} ]\n'),
        (NDJSON, b'{"number": 1}\n\n{"number" : 2}\r\n  {"number":3}'),
        ({"Content-Type": "application/x-ndjson; charset=utf-8"}, b'{"number":1}\n' * 3),
    ],
)
def test_each_payload_becomes_an_invocation_in_order(
    web_stack: Stack, headers: dict[str, str], body: bytes
) -> None:
    answer = send(web_stack, body, **headers)

    assert answer.status == 202
    assert answer.body["accepted"] == 3
    records = [web_stack.request(f"/invocations/{one}").body for one in answer.body["ids"]]
    assert [record["status"] for record in records] == ["queued"] * 3
    if len(set(body.split(b"\n"))) > 2:
        assert [record["payload"]["number"] for record in records] == [1, 2, 3]
    assert {record["max_attempts"] for record in records} == {4}
    assert counts(web_stack)["accepted"] == counts(web_stack)["queued"] == 3
    with redis.Redis.from_url(web_stack.redis_url) as connection:
        queued = [json.loads(message) for message in connection.lrange("celery", 0, -1)]
    # Workers take from the right: the first payload is the first to run.
    assert [message["headers"]["id"] for message in reversed(queued)] == answer.body["ids"]


@pytest.mark.parametrize("headers", [{}, NDJSON])
def test_an_empty_batch_is_nothing(web_stack: Stack, headers: dict[str, str]) -> None:
    answer = send(web_stack, b"" if headers else b"[]", **headers)

    assert (answer.status, answer.body) == (202, {"accepted": 0, "ids": []})


def test_one_bad_payload_is_422_with_its_index_and_nothing_is_queued(web_stack: Stack) -> None:
    answer = send(web_stack, b'[{"number":1},{"number":"x"},{"number":2},{}]')

    assert (answer.status, answer.body["type"]) == (422, "urn:eyas:problem:invalid-payload")
    assert answer.body["index"] == 1
    assert [one["pointer"] for one in answer.body["errors"]] == ["/1/number", "/3/number"]
    assert counts(web_stack)["accepted"] == 0


@pytest.mark.parametrize(
    ("headers", "body", "status", "member"),
    [
        ({}, b'[{"number": 1},\n {"number"}]', 400, {"line": 2}),
        (NDJSON, b'{"number": 1}\n{"number"}\n', 400, {"line": 2}),
        ({}, b'{"number": 1}', 422, {"errors": [{"pointer": "", "detail": None}]}),
        ({"Content-Type": "text/plain"}, b"[]", 415, {}),
        ({"Idempotency-Key": "k"}, b"[]", 400, {}),
    ],
)
def test_what_is_no_batch_is_refused(
    web_stack: Stack, headers: dict[str, str], body: bytes, status: int, member: dict[str, Any]
) -> None:
    answer = send(web_stack, body, **headers)

    assert answer.status == status
    for name, expected in member.items():
        if name == "errors":
            assert [one["pointer"] for one in answer.body[name]] == [""]
        else:
            assert answer.body[name] == expected
    assert counts(web_stack)["accepted"] == 0


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 5000 + b"]" * 5000,
        b"[" * 100_000,
        b'{"number": ' * 5000 + b"1" + b"}" * 5000,
        b"[" + b"[" * 101 + b"]" * 101 + b"]",
    ],
)
def test_a_batch_that_is_nested_too_deeply_is_refused(web_stack: Stack, body: bytes) -> None:
    answer = send(web_stack, body, name="echo")

    assert answer.status == 400
    assert answer.body["type"] == "urn:eyas:problem:malformed-json"
    assert "nested deeper than" in answer.body["detail"]


def test_a_batch_of_the_deepest_payloads_is_taken(web_stack: Stack) -> None:
    assert send(web_stack, b"[" * 101 + b"]" * 101, name="echo").status == 202


def test_unknown_functions_have_no_batches(web_stack: Stack) -> None:
    assert send(web_stack, b"[]", name="nothing").status == 404
    assert web_stack.request("/functions/limited/batch").status == 405


def test_too_many_payloads_or_bytes_are_413(web_stack: Stack) -> None:
    too_many = send(web_stack, numbers(26))
    assert (too_many.status, too_many.body["type"], too_many.body["limit"]) == (
        413,
        "urn:eyas:problem:batch-too-large",
        25,
    )
    too_large = send(web_stack, json.dumps(["x" * 40_000] * 4).encode(), name="echo")
    assert (too_large.status, too_large.body["limit_bytes"]) == (413, 150000)
    one_too_large = send(web_stack, json.dumps(["x", "x" * 100_000]).encode(), name="echo")
    assert (one_too_large.status, one_too_large.body["limit_bytes"]) == (413, 100000)
    assert "payload 1 " in one_too_large.body["detail"]
    assert counts(web_stack)["accepted"] == counts(web_stack, "echo")["accepted"] == 0


def test_a_batch_counts_as_a_whole_against_the_limit_on_open_invocations(web_stack: Stack) -> None:
    assert send(web_stack, numbers(20)).status == 202  # of 30
    refused = send(web_stack, numbers(11))

    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    assert counts(web_stack)["accepted"] == 20
    assert send(web_stack, numbers(10)).status == 202
    assert counts(web_stack)["accepted"] == 30


def test_a_delay_is_every_payloads(web_stack: Stack) -> None:
    answer = send(web_stack, numbers(2), Eyas_Delay="100")

    for one in answer.body["ids"]:
        assert web_stack.request(f"/invocations/{one}").body["due_at"] is not None
