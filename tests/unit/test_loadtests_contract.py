"""Which answers are right."""

import json
from typing import Any

import pytest

from loadtests.contract import (
    WrongAnswerError,
    check_record,
    fibonacci_numbers,
    payload,
    payloads,
    read_accepted,
    read_accepted_batch,
)

RECORD = {"id": "x", "function": "fib", "status": "succeeded", "result": [0, 1, 1, 2]}


@pytest.mark.parametrize(
    ("number", "numbers"),
    [(-1, []), (0, [0]), (1, [0, 1]), (3, [0, 1, 1, 2]), (7, [0, 1, 1, 2, 3, 5, 8, 13])],
)
def test_fibonacci_numbers(number: int, numbers: list[int]) -> None:
    assert fibonacci_numbers(number) == numbers


def test_large_fibonacci_numbers_are_exact() -> None:
    numbers = fibonacci_numbers(300)

    assert all(a + b == c for a, b, c in zip(numbers, numbers[1:], numbers[2:], strict=False))


def test_an_accepted_id() -> None:
    assert read_accepted(202, b'{"id": "abc", "status": "queued"}') == "abc"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (500, b"", "status 500"),
        (200, b'{"id": "abc"}', "status 200"),
        (429, b"{}", "status 429"),
        (202, b"{}", "status 202 without an id"),
        (202, b'{"id": 7}', "status 202 without an id"),
        (202, b'{"id": ""}', "status 202 without an id"),
        (202, b"oops", "a body that is not JSON"),
        (202, b"[1]", "a body that is not a JSON object"),
    ],
)
def test_anything_else_is_a_failure_of_its_kind(status: int, body: bytes, kind: str) -> None:
    with pytest.raises(WrongAnswerError) as raised:
        read_accepted(status, body)

    assert str(raised.value) == kind


def test_a_batch_has_a_payload_for_each_invocation() -> None:
    assert json.loads(payloads(7, size=3)) == [json.loads(payload(7))] * 3


def test_the_ids_of_an_accepted_batch() -> None:
    assert read_accepted_batch(202, b'{"accepted": 2, "ids": ["a", "b"]}', size=2) == ["a", "b"]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (413, b"{}", "status 413"),
        (200, b'{"ids": ["a", "b"]}', "status 200"),
        (202, b"{}", "status 202 without 2 ids"),
        (202, b'{"id": "ab"}', "status 202 without 2 ids"),
        (202, b'{"ids": "ab"}', "status 202 without 2 ids"),
        (202, b'{"ids": {"a": 1, "b": 2}}', "status 202 without 2 ids"),
        (202, b'{"ids": ["a"]}', "status 202 without 2 ids"),
        (202, b'{"ids": ["a", "b", "c"]}', "status 202 without 2 ids"),
        (202, b'{"ids": ["a", 7]}', "status 202 without 2 ids"),
        (202, b'{"ids": ["a", null]}', "status 202 without 2 ids"),
        (202, b'{"ids": ["a", ["b"]]}', "status 202 without 2 ids"),
        (202, b'{"ids": ["a", ""]}', "status 202 without 2 ids"),
        (202, b"oops", "a body that is not JSON"),
        (202, b'["a", "b"]', "a body that is not a JSON object"),
    ],
)
def test_anything_else_is_no_accepted_batch(status: int, body: bytes, kind: str) -> None:
    with pytest.raises(WrongAnswerError) as raised:
        read_accepted_batch(status, body, size=2)

    assert str(raised.value) == kind


def test_a_right_record() -> None:
    check_record(200, json.dumps(RECORD).encode(), invocation_id="x", number=3)


@pytest.mark.parametrize(
    ("status", "change", "kind"),
    [
        (0, {}, "result: no answer"),
        (404, {}, "result: status 404 for an accepted id"),
        (200, {"id": "y"}, "result: the record of another invocation"),
        (200, {"function": "echo"}, "result: the record of another invocation"),
        (200, {"status": "running"}, "result: running, not succeeded"),
        (200, {"result": [0, 1, 1]}, "result: wrong numbers"),
        (200, {"result": None}, "result: wrong numbers"),
    ],
)
def test_a_wrong_record(status: int, change: dict[str, Any], kind: str) -> None:
    body = json.dumps(RECORD | change).encode()

    with pytest.raises(WrongAnswerError) as raised:
        check_record(status, body, invocation_id="x", number=3)

    assert str(raised.value) == kind
