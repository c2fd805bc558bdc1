"""Asynchronous calls are tried as AWS tries them."""

from typing import Any

import pytest

from runtime.testing import Stack
from tests.asking import record, until_failed


def event(client: Any, name: str) -> str:
    answer = client.invoke(FunctionName=name, InvocationType="Event", Payload=b"{}")
    return str(answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"])


def test_twice_again_after_a_minute_and_after_two(stack: Stack, client: Any) -> None:
    asked = event(client, "third_time")
    for attempt, pause in ((1, 60), (2, 120)):
        until_failed(stack, asked, attempt)
        stack.advance(pause - 1)
        found = stack.request(f"/invocations/{asked}").body
        assert (found["status"], found["attempt"]) == ("retrying", attempt)
        stack.advance(1)
    ended = record(stack, asked)
    assert (ended["status"], ended["result"], ended["max_attempts"]) == ("succeeded", 3, 3)


@pytest.mark.parametrize("name", ["fail", "hang"])
def test_given_up_after_three_attempts(stack: Stack, client: Any, name: str) -> None:
    asked = event(client, name)
    for attempt in (1, 2):
        until_failed(stack, asked, attempt)
        stack.advance(120)
    ended = record(stack, asked)
    assert (ended["status"], ended["attempt"]) == ("failed", 3)
    assert ended["dead_letter"] == "RetriesExhausted"


def test_not_when_it_would_be_too_old(stack: Stack, client: Any) -> None:
    asked = event(client, "fail")
    stack.wait_for(
        lambda: stack.request(f"/invocations/{asked}").body["status"] == "retrying", "a failure"
    )
    stack.advance(6 * 3600)
    ended = record(stack, asked)
    assert ended["status"] == "expired"
    assert ended["error"]["message"] == "older than 21600.0 seconds"


@pytest.mark.parametrize("name", ["fail", "hang"])
def test_one_that_is_redriven_late_is_tried_as_a_new_one(
    stack: Stack, client: Any, name: str
) -> None:
    asked = event(client, name)
    for attempt in (1, 2):
        until_failed(stack, asked, attempt)
        stack.advance(120)
    assert record(stack, asked)["dead_letter"] == "RetriesExhausted"
    stack.advance(7 * 3600)  # it is older than such calls may be
    assert stack.request(f"/dead-letters/{asked}/redrive", method="POST").status == 202

    for attempt in (4, 5):
        until_failed(stack, asked, attempt)
        stack.advance(120)
    ended = record(stack, asked)
    assert (ended["attempt"], ended["dead_letter"]) == (6, "RetriesExhausted")


def test_one_that_is_redriven_has_the_age_of_its_own_policy(stack: Stack, client: Any) -> None:
    asked = event(client, "fail")
    until_failed(stack, asked, 1)
    stack.advance(6 * 3600)
    assert record(stack, asked)["status"] == "expired"
    assert stack.request(f"/dead-letters/{asked}/redrive", method="POST").status == 202
    stack.wait_for(
        lambda: stack.request(f"/invocations/{asked}").body["status"] == "retrying", "a failure"
    )
    stack.advance(6 * 3600)
    assert record(stack, asked)["status"] == "expired"
