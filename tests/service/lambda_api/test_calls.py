"""One call of an SDK is one execution, however often it is sent."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from runtime.testing import Stack
from tests.asking import lines, logged
from tests.lambda_api import body, client_of, post, request_id


def test_a_call_that_is_repeated_after_a_read_timeout_runs_once(stack: Stack, marker: Path) -> None:
    impatient = client_of(stack, read_timeout=1, retries={"total_max_attempts": 4})
    answer = impatient.invoke(
        FunctionName="slow", Payload=json.dumps({"marker": str(marker), "seconds": 2})
    )

    assert body(answer) == "slept"
    assert answer["ResponseMetadata"]["RetryAttempts"] >= 1
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-emulator-deduplicated"] == "true"
    assert lines(marker) == [["run"]]
    one = request_id(answer)

    def log(event: str) -> list[dict[str, Any]]:
        return logged(
            stack,
            lambda line: line["event"] == event and line.get("invocation_id") == one,
            process="web",
        )

    stack.wait_for(
        lambda: {line["status"] for line in log("request.finished")} == {200, 499}, "the log"
    )
    # Whoever hung up is no server error.
    assert {line["level"] for line in log("request.finished")} == {"info"}
    assert {line["level"] for line in log("call.repeated")} == {"warning"}


def test_who_gives_up_has_run_it_once(stack: Stack, marker: Path) -> None:
    impatient = client_of(stack, read_timeout=1, retries={"total_max_attempts": 2})
    with pytest.raises(ReadTimeoutError):
        impatient.invoke(
            FunctionName="slow", Payload=json.dumps({"marker": str(marker), "seconds": 4})
        )
    stack.wait_for(
        lambda: stack.request("/functions/slow").body["counts"]["running"] == 0, "its end"
    )
    assert lines(marker) == [["run"]]


def test_a_call_outlives_the_web_process_that_took_it(stack: Stack, marker: Path) -> None:
    patient = client_of(stack, retries={"total_max_attempts": 10})
    sent = json.dumps({"marker": str(marker), "seconds": 3})
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(patient.invoke, FunctionName="slow", Payload=sent)
        stack.wait_for(marker.exists, "the attempt")
        stack.kill("web")
        stack.start("web")
        answer = call.result(60)

    assert body(answer) == "slept"
    assert lines(marker) == [["run"]]
    stack.wait_until_ready()


def test_repetitions_get_the_stored_answer(stack: Stack, marker: Path) -> None:
    sent = json.dumps({"marker": str(marker), "seconds": 0.3}).encode()
    call = {"Amz_Sdk_Invocation_Id": "0d4b62f1-7d9c-4c1e-8d27-6a5f3ed0a7a1"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(stack, "slow", sent, **call), range(8)))
    answers.append(post(stack, "slow", sent, **call))

    assert {answer.raw for answer in answers} == {b'"slept"'}
    assert len({answer.headers["x-amzn-requestid"] for answer in answers}) == 1
    marked = [answer.headers.get("x-emulator-deduplicated") for answer in answers]
    assert sorted(marked, key=str) == [None] + ["true"] * 8
    assert lines(marker) == [["run"]]
    other = post(stack, "slow", sent.replace(b"0.3", b"0.4"), **call)
    assert other.status == 400
    assert other.headers["x-amzn-errortype"] == "InvalidParameterValueException"


def test_repetitions_of_events_and_of_errors(stack: Stack) -> None:
    event = {"X_Amz_Invocation_Type": "Event", "Amz_Sdk_Invocation_Id": "an-event"}
    first, again = post(stack, "echo", b"1", **event), post(stack, "echo", b"1", **event)
    assert first.status == again.status == 202
    assert first.headers["x-amzn-requestid"] == again.headers["x-amzn-requestid"]
    failing = {"Amz_Sdk_Invocation_Id": "a-failure"}
    first, again = post(stack, "fail", **failing), post(stack, "fail", **failing)
    assert first.raw == again.raw
    assert again.headers["x-amz-function-error"] == "Unhandled"
    assert again.headers["x-emulator-deduplicated"] == "true"


def test_a_callers_key_and_a_call_are_different_names(stack: Stack) -> None:
    name = "one-and-the-same"
    keyed = stack.request("/functions/echo", body=b"1", headers={"Idempotency-Key": name})
    called = post(stack, "echo", b"1", Amz_Sdk_Invocation_Id=name)

    assert keyed.body["id"] != called.headers["x-amzn-requestid"]
    assert "x-emulator-deduplicated" not in called.headers
    # A key is no part of this API.
    again = post(stack, "echo", b"1", Idempotency_Key=name)
    assert again.headers["x-amzn-requestid"] not in {
        keyed.body["id"],
        called.headers["x-amzn-requestid"],
    }


def test_any_content_type_is_read_as_json(stack: Stack) -> None:
    for media_type in ("application/octet-stream", "application/x-www-form-urlencoded", "text/x"):
        assert post(stack, "echo", b'{"a": 1}', Content_Type=media_type).body == {"a": 1}


def test_a_call_whose_record_is_gone_is_not_run_again(stack: Stack) -> None:
    call = {"Amz_Sdk_Invocation_Id": "to-be-purged"}
    one = post(stack, "fail", **call).headers["x-amzn-requestid"]
    assert stack.request(f"/dead-letters/{one}", method="DELETE").status == 204
    again = post(stack, "fail", **call)

    assert again.status == 409
    assert again.headers["x-amzn-errortype"] == "ResourceConflictException"
    assert one in again.body["message"]


def test_a_reset_forgets_calls(stack: Stack, marker: Path) -> None:
    sent = json.dumps({"marker": str(marker), "seconds": 0}).encode()
    for _ in range(2):
        answer = post(stack, "slow", sent, Amz_Sdk_Invocation_Id="before-and-after")
        assert "x-emulator-deduplicated" not in answer.headers
        stack.reset()
    assert len(lines(marker)) == 2
