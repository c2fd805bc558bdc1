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
