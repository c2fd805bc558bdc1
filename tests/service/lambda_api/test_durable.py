"""Status, result and stop of a call, as boto3 asks for them: each is a durable execution."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from runtime.testing import Stack
from tests.asking import lines, record, until_failed
from tests.lambda_api import ACCOUNT, client_of, post, refused, request_id


def ended(stack: Stack, client: Any, arn: str) -> dict[str, Any]:
    """Poll an execution until it has ended, as any script would."""
    found: dict[str, Any] = {}

    def has_ended() -> bool:
        found.update(client.get_durable_execution(DurableExecutionArn=arn))
        return found["Status"] != "RUNNING"

    stack.wait_for(has_ended, f"the end of {arn}")
    return found


def call(client: Any, function: str, payload: Any = None, **more: Any) -> dict[str, Any]:
    """Invoke a function, and read the answer to its end: till then it keeps its connection."""
    sent = json.dumps(payload if payload is not None else {})
    answer: dict[str, Any] = client.invoke(FunctionName=function, Payload=sent, **more)
    return answer | {"Payload": answer["Payload"].read()}


def named(client: Any, name: str, function: str, payload: Any = None, **more: Any) -> Any:
    return call(client, function, payload, DurableExecutionName=name, **more)


def waited_for(client: Any, name: str, function: str, payload: Any = None) -> str:
    """Run an execution to its end, and return its ARN."""
    return str(named(client, name, function, payload)["DurableExecutionArn"])


def test_the_result_of_an_event_is_polled(client: Any, stack: Stack) -> None:
    answer = call(client, "add", {"one": 3}, InvocationType="Event")
    arn = answer["DurableExecutionArn"]
    found = ended(stack, client, arn)

    one = request_id(answer)
    assert arn == f"{ACCOUNT}add:$LATEST/durable-execution/{one}/{one}"
    assert (found["Status"], found["Result"]) == ("SUCCEEDED", "3")
    assert (found["DurableExecutionArn"], found["DurableExecutionName"]) == (arn, one)
    assert found["FunctionArn"] == f"{ACCOUNT}add:$LATEST"
    assert found["InputPayload"] == '{"one": 3}'
    assert found["StartTimestamp"] <= found["EndTimestamp"]
    bare = client.get_durable_execution(DurableExecutionArn=arn, IncludeExecutionData=False)
    assert not {"InputPayload", "Result"} & set(bare)


def test_a_name_is_one_execution(client: Any, stack: Stack, marker: Path) -> None:
    sent = {"marker": str(marker), "seconds": 0.2}
    first = named(client, "one", "slow", sent, InvocationType="Event")
    again = named(client, "one", "slow", sent, InvocationType="Event")
    waited = named(client, "one", "slow", sent)

    assert first["StatusCode"] == again["StatusCode"] == 202
    arn = first["DurableExecutionArn"]
    assert arn == f"{ACCOUNT}slow:$LATEST/durable-execution/one/{request_id(first)}"
    assert {again["DurableExecutionArn"], waited["DurableExecutionArn"]} == {arn}
    assert waited["Payload"] == b'"slept"'
    assert lines(marker) == [["run"]]
    # With AWS it would not have run again either.
    assert "x-emulator-deduplicated" not in waited["ResponseMetadata"]["HTTPHeaders"]
    with pytest.raises(client.exceptions.DurableExecutionAlreadyStartedException) as caught:
        named(client, "one", "slow", sent | {"seconds": 0.3}, InvocationType="Event")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 409
    assert "'one'" in caught.value.response["Message"]
    with pytest.raises(client.exceptions.DurableExecutionAlreadyStartedException):
        named(client, "one", "slow", sent | {"seconds": 0.3})


def test_a_name_is_of_a_function_in_an_account_and_a_region(client: Any, stack: Stack) -> None:
    with (
        closing(client_of(stack, region="us-west-2")) as of_a_region,
        closing(client_of(stack, key="123456789012")) as of_an_account,
    ):
        clients = (client, of_a_region, of_an_account)
        arns = [waited_for(one, "same", "echo", 1) for one in clients]
    arns += [waited_for(client, "same", "tell"), waited_for(client, "other", "echo", 1)]

    assert len({arn.rpartition("/")[2] for arn in arns}) == len(arns)


def test_a_name_is_no_key_and_no_call(client: Any, stack: Stack) -> None:
    one = waited_for(client, "a-name", "echo", 1).rpartition("/")[2]
    keyed = stack.request("/functions/echo", body=b"1", headers={"Idempotency-Key": "a-name"})
    called = post(stack, "echo", b"1", Amz_Sdk_Invocation_Id="a-name")

    assert len({one, keyed.body["id"], called.headers["x-amzn-requestid"]}) == 3


def test_only_events_and_named_calls_are_answered_with_an_arn(client: Any, stack: Stack) -> None:
    before = stack.request("/functions/echo").body["counts"]
    dry = named(client, "never run", "echo", InvocationType="DryRun")

    assert dry["StatusCode"] == 204
    assert "DurableExecutionArn" not in dry
    assert stack.request("/functions/echo").body["counts"] == before
    assert "DurableExecutionArn" not in call(client, "echo")


@pytest.mark.parametrize("name", ["has space", "a/b", "a:b", "x" * 65])
def test_a_malformed_name_is_refused(client: Any, name: str) -> None:
    for kind in ("Event", "RequestResponse"):
        error = refused(lambda kind=kind: named(client, name, "echo", InvocationType=kind))["Error"]
        assert error["Code"] == "ValidationException"
        assert f"Value '{name}' at 'durableExecutionName'" in error["Message"]
    assert "x" * 64 in waited_for(client, "x" * 64, "echo")


@pytest.mark.parametrize(
    ("function", "status", "error_type"),
    [
        ("fail", "FAILED", "CustomException"),
        ("die", "FAILED", "Runtime.ExitError"),
        ("hang", "TIMED_OUT", "Sandbox.Timedout"),
    ],
)
def test_function_errors_are_told_in_awss_words(
    client: Any, function: str, status: str, error_type: str
) -> None:
    answer = named(client, f"error-of-{function}", function)
    raised = json.loads(answer["Payload"])
    found = client.get_durable_execution(DurableExecutionArn=answer["DurableExecutionArn"])

    assert found["Status"] == status
    assert found["Error"] == {
        "ErrorType": error_type,
        "ErrorMessage": raised["errorMessage"],
        "StackTrace": raised.get("stackTrace", []),
    }
    assert "Result" not in found


def test_what_waits_for_another_attempt_runs_until_it_is_too_old(client: Any, stack: Stack) -> None:
    answer = call(client, "fail", InvocationType="Event")
    arn = answer["DurableExecutionArn"]
    until_failed(stack, request_id(answer), 1)
    between = client.get_durable_execution(DurableExecutionArn=arn)
    stack.advance(7 * 3600)

    assert between["Status"] == "RUNNING"
    assert not {"Error", "EndTimestamp"} & set(between)
    found = ended(stack, client, arn)
    assert (found["Status"], found["Error"]["ErrorType"]) == ("TIMED_OUT", "Expired")


def test_what_runs_is_stopped(client: Any, stack: Stack, marker: Path) -> None:
    sent = {"marker": str(marker), "seconds": 600}
    answer = named(client, "to-be-stopped", "slow", sent, InvocationType="Event")
    arn = answer["DurableExecutionArn"]
    stack.wait_for(marker.exists, "the attempt")
    stopped = client.stop_durable_execution(
        DurableExecutionArn=arn, Error={"ErrorType": "Mine", "ErrorMessage": "not any more"}
    )
    found = client.get_durable_execution(DurableExecutionArn=arn)

    assert (found["Status"], found["EndTimestamp"]) == ("STOPPED", stopped["StopTimestamp"])
    # Whoever stops it cannot say why.
    assert found["Error"]["ErrorType"] == "Cancelled"
    assert record(stack, request_id(answer))["status"] == "cancelled"
    again = client.stop_durable_execution(DurableExecutionArn=arn)
    assert again["StopTimestamp"] == stopped["StopTimestamp"]


def test_what_waits_is_stopped_and_never_runs_again(client: Any, stack: Stack) -> None:
    answer = call(client, "fail", InvocationType="Event")
    arn = answer["DurableExecutionArn"]
    until_failed(stack, request_id(answer), 1)
    stopped = client.stop_durable_execution(DurableExecutionArn=arn)
    stack.advance(120)
    found = client.get_durable_execution(DurableExecutionArn=arn)

    assert (found["Status"], found["EndTimestamp"]) == ("STOPPED", stopped["StopTimestamp"])
    assert record(stack, request_id(answer))["attempt"] == 1


def test_what_has_ended_stays_as_it_is(client: Any) -> None:
    arn = waited_for(client, "ended", "echo", 1)
    stopped = client.stop_durable_execution(DurableExecutionArn=arn)
    found = client.get_durable_execution(DurableExecutionArn=arn)

    assert (found["Status"], found["EndTimestamp"]) == ("SUCCEEDED", stopped["StopTimestamp"])


def test_what_no_worker_stops_is_answered_with_the_time_of_the_wish(
    web_stack: Stack, acting_worker: Any
) -> None:
    with closing(client_of(web_stack)) as client:
        arn = call(client, "echo", InvocationType="Event")["DurableExecutionArn"]
        acting_worker.start()
        stopped = client.stop_durable_execution(DurableExecutionArn=arn)
        found = client.get_durable_execution(DurableExecutionArn=arn)

    assert found["Status"] == "RUNNING"
    assert stopped["StopTimestamp"] >= found["StartTimestamp"]


def test_the_history_has_a_beginning_and_an_end(client: Any) -> None:
    arn = waited_for(client, "with-a-history", "add", {"one": 1})
    found = client.get_durable_execution(DurableExecutionArn=arn)
    whole = client.get_durable_execution_history(DurableExecutionArn=arn)
    started, succeeded = whole["Events"]

    assert (started["EventId"], started["EventType"]) == (1, "ExecutionStarted")
    assert started["EventTimestamp"] == found["StartTimestamp"]
    details = started["ExecutionStartedDetails"]
    assert details["Input"] == {"Payload": '{"one": 1}', "Truncated": False}
    assert details["ExecutionTimeout"] == 300
    assert (succeeded["EventId"], succeeded["EventType"]) == (2, "ExecutionSucceeded")
    assert succeeded["EventTimestamp"] == found["EndTimestamp"]
    assert succeeded["ExecutionSucceededDetails"]["Result"]["Payload"] == "1"
    assert "NextMarker" not in whole


def test_the_history_comes_in_pages_and_backwards(client: Any) -> None:
    arn = waited_for(client, "in-pages", "fail")
    pager = client.get_paginator("get_durable_execution_history")

    def ids(**more: Any) -> list[list[int]]:
        pages = pager.paginate(DurableExecutionArn=arn, IncludeExecutionData=False, **more)
        return [[event["EventId"] for event in page["Events"]] for page in pages]

    assert ids() == ids(MaxItems=0) == [[1, 2]]
    assert ids(PaginationConfig={"PageSize": 1}) == [[1], [2]]
    assert ids(PaginationConfig={"PageSize": 1}, ReverseOrder=True) == [[2], [1]]
    (error,) = client.get_durable_execution_history(DurableExecutionArn=arn, Marker="1")["Events"]
    assert error["ExecutionFailedDetails"]["Error"]["Payload"]["ErrorType"] == "CustomException"
    history = client.get_durable_execution_history
    for wrong, code in (
        ({"MaxItems": 1001}, "ValidationException"),
        ({"Marker": "nowhere"}, "InvalidParameterValueException"),
    ):
        response = refused(lambda wrong=wrong: history(DurableExecutionArn=arn, **wrong))
        assert response["Error"]["Code"] == code


def test_an_arn_that_does_not_fit_is_not_found(client: Any, stack: Stack) -> None:
    arn = waited_for(client, "fitting", "echo", 1)
    one = arn.rpartition("/")[2]
    operations = (
        client.get_durable_execution,
        client.get_durable_execution_history,
        client.stop_durable_execution,
    )

    for wrong in (
        arn.replace("eu-west-1", "eu-west-2"),
        arn.replace("000000000000", "000000000001"),
        arn.replace("function:echo", "function:tell"),
        arn.replace("fitting", "other"),
        arn.replace("$LATEST", "1"),
        arn.replace("arn:aws:", "arn:aws-cn:"),
        arn.replace(one, "0" + one[1:] if one[0] != "0" else "1" + one[1:]),
    ):
        assert wrong != arn
        for operation in operations:
            with pytest.raises(client.exceptions.ResourceNotFoundException) as caught:
                operation(DurableExecutionArn=wrong)
            assert caught.value.response["Message"] == f"Durable execution not found: {wrong}"
    with (
        closing(client_of(stack, region="us-east-1")) as elsewhere,
        pytest.raises(elsewhere.exceptions.ResourceNotFoundException),
    ):
        elsewhere.get_durable_execution(DurableExecutionArn=arn)
    malformed = refused(lambda: client.get_durable_execution(DurableExecutionArn="order-42"))
    assert malformed["Error"]["Code"] == "ValidationException"


def test_an_execution_whose_record_is_gone_is_not_found(client: Any, stack: Stack) -> None:
    arn = waited_for(client, "to-be-purged", "fail")
    purged = stack.request(f"/dead-letters/{arn.rpartition('/')[2]}", method="DELETE")

    assert purged.status == 204
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_durable_execution(DurableExecutionArn=arn)


def test_arns_are_read_however_they_are_encoded(client: Any, stack: Stack) -> None:
    arn = waited_for(client, "encoded", "echo", 1)

    for spelled in (arn, quote(arn, safe=""), quote(arn, safe="/"), quote(arn, safe=":$")):
        path = f"/2025-12-01/durable-executions/{spelled}"
        assert stack.request(path).body["Result"] == "1"
        assert len(stack.request(f"{path}/history").body["Events"]) == 2
        assert stack.request(f"{path}/stop", body=b"{}", method="POST").status == 200


def test_what_was_invoked_in_another_way_is_an_execution_too(stack: Stack) -> None:
    one = stack.request("/functions/echo", body=b"[1]", headers={"Prefer": "wait=20"}).body["id"]
    arn = (
        f"arn:aws:lambda:us-east-1:000000000000:function:echo:$LATEST/durable-execution/{one}/{one}"
    )
    with closing(client_of(stack, region="us-east-1")) as client:
        found = client.get_durable_execution(DurableExecutionArn=arn)

    assert (found["Status"], found["Result"]) == ("SUCCEEDED", "[1]")
