"""Records as AWS's durable executions, and pages of AWS's lists."""

from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from runtime.invocation import Record, Status
from runtime.lambda_context import Calling
from runtime.outcome import CANCELLED_RUNNING, FunctionError, older_than, stopped_after
from runtime.web.aws import executions
from runtime.web.aws.errors import LambdaError
from runtime.web.aws.executions import Execution
from runtime.web.aws.paging import page_of

MODEL = botocore.session.get_session().get_service_model("lambda")
RAISED = FunctionError(type="ValueError", message="no", stack_trace=("  File a\n",))


def execution(
    status: Status, *, error: FunctionError | None = None, calling: Calling | None = None
) -> Execution:
    is_open = status in {Status.QUEUED, Status.RUNNING, Status.RETRYING}
    return Execution.of(
        Record(
            id="an-id",
            function="some",
            status=status,
            trigger="http",
            payload=b'{"a": 1}',
            attempt=1,
            max_attempts=3,
            accepted_at_us=1_700_000_000_123_456,
            finished_at_us=None if is_open else 1_700_000_002_000_000,
            result=b"[5]" if status is Status.SUCCEEDED else None,
            error=error and error.encode(),
            calling=calling and calling.encode(),
        )
    )


def assert_fits_the_model(answer: dict[str, Any], operation: str) -> None:
    shape = MODEL.operation_model(operation).output_shape
    report = ParamValidator().validate(answer, shape)
    assert not report.has_errors(), report.generate_report()


TABLE = [
    (Status.QUEUED, None, "RUNNING", None),
    (Status.RUNNING, None, "RUNNING", None),
    (Status.RETRYING, RAISED, "RUNNING", None),
    (Status.SUCCEEDED, None, "SUCCEEDED", "ExecutionSucceeded"),
    (Status.FAILED, RAISED, "FAILED", "ExecutionFailed"),
    (Status.FAILED, stopped_after(3), "TIMED_OUT", "ExecutionTimedOut"),
    (Status.EXPIRED, older_than(60), "TIMED_OUT", "ExecutionTimedOut"),
    (Status.CANCELLED, CANCELLED_RUNNING, "STOPPED", "ExecutionStopped"),
]


@pytest.mark.parametrize(("status", "error", "expected", "end"), TABLE)
def test_every_status_has_awss_word_and_its_event(
    status: Status, error: FunctionError | None, expected: str, end: str | None
) -> None:
    one = execution(status, error=error)
    shown = one.described(has_data=True)

    assert shown["Status"] == expected
    assert ("EndTimestamp" in shown) == (end is not None)
    assert ("Result" in shown) == (status is Status.SUCCEEDED)
    assert ("Error" in shown) == (end is not None and status is not Status.SUCCEEDED)
    assert_fits_the_model(shown, "GetDurableExecution")
    events = one.history(timeout_seconds=2.5, has_data=True)
    assert [event["EventType"] for event in events] == ["ExecutionStarted"] + [end] * bool(end)
    assert_fits_the_model({"Events": events}, "GetDurableExecutionHistory")


def test_what_is_said_of_an_execution() -> None:
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:some"
    calling = Calling(invoked_function_arn=f"{arn}:$LATEST", execution_name="order-42")

    assert execution(Status.FAILED, error=RAISED, calling=calling).described(has_data=True) == {
        "DurableExecutionArn": f"{arn}:$LATEST/durable-execution/order-42/an-id",
        "DurableExecutionName": "order-42",
        "FunctionArn": f"{arn}:$LATEST",
        "StartTimestamp": 1_700_000_000.123,
        "EndTimestamp": 1_700_000_002.0,
        "Status": "FAILED",
        "Version": "$LATEST",
        "ExecutionDataIncluded": True,
        "InputPayload": '{"a": 1}',
        "Error": {"ErrorMessage": "no", "ErrorType": "ValueError", "StackTrace": ["  File a\n"]},
    }


def test_what_was_called_in_another_way_is_named_by_its_id() -> None:
    one = execution(Status.QUEUED)

    assert one.arn == (
        "arn:aws:lambda:us-east-1:000000000000:function:some:$LATEST/durable-execution/an-id/an-id"
    )
    assert executions.id_in(one.arn) == "an-id"


def test_data_are_left_out() -> None:
    one = execution(Status.SUCCEEDED)
    shown = one.described(has_data=False)

    assert not {"InputPayload", "Result", "Error"} & set(shown)
    assert shown["ExecutionDataIncluded"] is False
    events = one.history(timeout_seconds=2.5, has_data=False)
    assert events[0]["ExecutionStartedDetails"] == {
        "Input": {"Truncated": True},
        "ExecutionTimeout": 3,
    }
    assert events[1]["ExecutionSucceededDetails"] == {"Result": {"Truncated": True}}
    assert_fits_the_model({"Events": events}, "GetDurableExecutionHistory")


@pytest.mark.parametrize(
    "arn",
    [
        "an-id",
        "arn:aws:lambda:us-east-1:000000000000:function:some",
        "arn:aws:lambda:us-east-1:000000000000:function:some/durable-execution/a/b",
        "arn:aws:lambda:us-east-1:000000000000:function:some:PROD/durable-execution/a/b",
        "arn:aws:lambda:us-east-1:000000000000:function:some:$LATEST/durable-execution/a/b/c",
        "arn:aws:lambda:us-east-1:000000000000:function:some:$LATEST/durable-execution/a b/c",
    ],
)
def test_other_arns_are_none_of_executions(arn: str) -> None:
    with pytest.raises(LambdaError) as caught:
        executions.id_in(arn)
    assert caught.value.code == "ValidationException"
    assert f"Value '{arn}' at 'durableExecutionArn'" in str(caught.value)


def test_pages_have_every_item_once() -> None:
    assert page_of("abcde", marker=None, size=2) == ("ab", "2")
    assert page_of("abcde", marker="2", size=2) == ("cd", "4")
    assert page_of("abcde", marker="4", size=2) == ("e", None)
    assert page_of("abcd", marker="2", size=2) == ("cd", None)
    assert page_of("abcd", marker="7", size=2) == ("", None)
    assert page_of("", marker=None, size=2) == ("", None)


@pytest.mark.parametrize("marker", ["x", "-1", "01", "1" * 5000])
def test_a_marker_is_one_that_was_given(marker: str) -> None:
    with pytest.raises(LambdaError) as caught:
        page_of("abc", marker=marker, size=2)
    assert caught.value.code == "InvalidParameterValueException"
