"""Invoke, as boto3 uses it: results, function errors, events."""

import json
from pathlib import Path
from typing import Any

import pytest

from runtime.testing import Stack
from tests.asking import record
from tests.lambda_api import body, refused, request_id


def test_a_result_is_the_payload_of_the_answer(client: Any, stack: Stack) -> None:
    answer = client.invoke(FunctionName="echo", Payload=b'{"n": [1, "\\u00fc"]}')

    assert body(answer) == {"n": [1, "ü"]}
    assert answer["StatusCode"] == 200
    assert answer["ExecutedVersion"] == "$LATEST"
    assert "FunctionError" not in answer
    kept = record(stack, request_id(answer))
    assert (kept["status"], kept["result"]) == ("succeeded", {"n": [1, "ü"]})


def test_none_is_null_and_no_payload_is_an_empty_object(client: Any) -> None:
    assert client.invoke(FunctionName="talk", Payload=b"1")["Payload"].read() == b"null"
    assert client.invoke(FunctionName="echo")["Payload"].read() == b"{}"


def test_what_a_handler_raises_is_a_function_error(client: Any) -> None:
    answer = client.invoke(FunctionName="fail")

    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    raised = body(answer)
    assert list(raised) == ["errorMessage", "errorType", "requestId", "stackTrace"]
    assert raised["errorMessage"] == "some\nfailure"
    assert raised["errorType"] == "CustomException"
    assert raised["requestId"] == request_id(answer)
    (frame,) = raised["stackTrace"]
    assert frame.startswith('  File "')
    assert frame.endswith('in fail\n    raise CustomException("some\\nfailure")\n')


def process_error(kind: str, words: str) -> str:
    return f'{{"errorType":"{kind}","errorMessage":"RequestId: <id> Error: {words}"}}'


TOO_LARGE = (
    '{"errorMessage":"Response payload size exceeded maximum allowed payload size '
    '(6291556 bytes).","errorType":"Function.ResponseSizeTooLarge"}'
)
STOPPED = process_error("Sandbox.Timedout", "Task timed out after 1.00 seconds")
LEFT = process_error("Runtime.ExitError", "Runtime exited without providing a reason")
LEFT_3 = process_error("Runtime.ExitError", "Runtime exited with error: exit status 3")
KILLED = process_error("Runtime.ExitError", "Runtime exited with error: signal: killed")


@pytest.mark.parametrize(
    ("name", "payload", "expected"),
    [
        ("hang", {}, STOPPED),
        ("leave", {"code": 0}, LEFT),
        ("leave", {"code": 3}, LEFT_3),
        ("die", {}, KILLED),
        ("large", {"bytes_": 6_291_455}, TOO_LARGE),
    ],
)
def test_what_ends_a_process_is_told_in_awss_words(
    client: Any, name: str, payload: Any, expected: str
) -> None:
    answer = client.invoke(FunctionName=name, Payload=json.dumps(payload))

    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert answer["Payload"].read().decode() == expected.replace("<id>", request_id(answer))


def test_a_result_that_json_cannot_hold_is_a_function_error(client: Any) -> None:
    raised = body(client.invoke(FunctionName="odd"))

    assert raised["errorType"] == "Runtime.MarshalError"
    assert raised["errorMessage"].startswith("Unable to marshal response: ")


def test_a_payload_that_does_not_fit_fails_as_the_handler_would(client: Any, stack: Stack) -> None:
    answer = client.invoke(FunctionName="add", Payload=b'{"one": "1"}')

    assert answer["FunctionError"] == "Unhandled"
    raised = body(answer)
    assert raised["errorType"] == "Runtime.InvalidPayload"
    assert "/one: Expected `int`, got `str`" in raised["errorMessage"]
    assert record(stack, request_id(answer))["dead_letter"] == "Permanent"
    later = client.invoke(FunctionName="add", Payload=b"[1]", InvocationType="Event")
    assert later["StatusCode"] == 202
    assert record(stack, request_id(later))["error"]["type"] == "InvalidPayload"


def test_a_module_that_failed_is_a_function_error(client: Any) -> None:
    answer = client.invoke(FunctionName="broken")
    raised = body(answer)

    assert answer["FunctionError"] == "Unhandled"
    assert (raised["errorType"], raised["errorMessage"]) == ("RuntimeError", "at import")
    assert raised["requestId"] == ""
    assert "raise RuntimeError('at import')" in raised["stackTrace"][-1]
    missing = body(client.invoke(FunctionName="missing"))
    assert missing["errorType"] == "Runtime.ImportModuleError"
    assert "No module named 'no_such_module_anywhere'" in missing["errorMessage"]
    later = refused(lambda: client.invoke(FunctionName="broken", InvocationType="Event"))
    assert later["Error"]["Code"] == "ResourceConflictException"


def test_an_event_is_accepted_and_run_later(client: Any, stack: Stack) -> None:
    answer = client.invoke(FunctionName="echo", InvocationType="Event", Payload=b"7")

    assert answer["StatusCode"] == 202
    assert answer["Payload"].read() == b""
    assert "ExecutedVersion" not in answer
    assert "LogResult" not in answer
    assert record(stack, request_id(answer))["result"] == 7


def test_the_older_form_of_an_event(client: Any, stack: Stack, marker: Path) -> None:
    answer = client.invoke_async(
        FunctionName="slow", InvokeArgs=json.dumps({"marker": str(marker), "seconds": 0})
    )

    assert answer["Status"] == 202
    assert record(stack, request_id(answer))["result"] == "slept"


def test_a_dry_run_runs_nothing(client: Any, stack: Stack) -> None:
    before = stack.request("/functions/echo").body["counts"]
    answer = client.invoke(FunctionName="echo", InvocationType="DryRun", Payload=b"7")

    assert answer["StatusCode"] == 204
    assert answer["Payload"].read() == b""
    assert stack.request("/functions/echo").body["counts"] == before
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.invoke(FunctionName="nobody", InvocationType="DryRun")
