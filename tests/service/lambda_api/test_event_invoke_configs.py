"""What is said of a function's asynchronous calls: put, merged, shown, refused."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from runtime.testing import Stack
from tests.lambda_api import ACCOUNT, client_of, refused

NO_ENDS = {"OnSuccess": {}, "OnFailure": {}}


@pytest.fixture(autouse=True)
def _anew(stack: Stack) -> Iterator[None]:
    stack.reset()
    yield
    stack.reset()


def without_answer(answer: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in answer.items() if k not in {"ResponseMetadata", "LastModified"}}


def test_what_is_put_is_shown_and_listed(client: Any) -> None:
    ends = {
        "OnSuccess": {"Destination": f"{ACCOUNT}add:$LATEST"},
        "OnFailure": {"Destination": "https://example.com/failed?a=b"},
    }
    put = client.put_function_event_invoke_config(
        FunctionName="echo",
        MaximumRetryAttempts=1,
        MaximumEventAgeInSeconds=3600,
        DestinationConfig=ends,
    )

    assert without_answer(put) == {
        "FunctionArn": f"{ACCOUNT}echo:$LATEST",
        "MaximumRetryAttempts": 1,
        "MaximumEventAgeInSeconds": 3600,
        "DestinationConfig": ends,
    }
    assert abs((datetime.now(UTC) - put["LastModified"]).total_seconds()) < 60
    for name in ("echo", "echo:$LATEST", f"{ACCOUNT}echo"):
        got = client.get_function_event_invoke_config(FunctionName=name)
        assert {**got, "ResponseMetadata": 0} == {**put, "ResponseMetadata": 0}
    (listed,) = client.list_function_event_invoke_configs(FunctionName="echo")[
        "FunctionEventInvokeConfigs"
    ]
    assert without_answer(listed) == without_answer(put)
    assert listed["LastModified"] == put["LastModified"]


def test_to_put_replaces_and_to_update_merges(client: Any) -> None:
    def numbers(answer: dict[str, Any]) -> tuple[Any, Any]:
        return answer.get("MaximumRetryAttempts"), answer.get("MaximumEventAgeInSeconds")

    put = client.put_function_event_invoke_config
    update = client.update_function_event_invoke_config
    assert numbers(put(FunctionName="echo", MaximumRetryAttempts=0)) == (0, None)
    assert numbers(put(FunctionName="echo", MaximumEventAgeInSeconds=60)) == (None, 60)
    assert numbers(update(FunctionName="echo", MaximumRetryAttempts=2)) == (2, 60)
    ends = {"OnFailure": {"Destination": f"{ACCOUNT}add"}}
    assert numbers(update(FunctionName="echo", DestinationConfig=ends)) == (2, 60)
    after = update(FunctionName="echo", MaximumEventAgeInSeconds=21600)
    assert after["DestinationConfig"] == {"OnSuccess": {}, **ends}
    assert put(FunctionName="echo", MaximumRetryAttempts=1)["DestinationConfig"] == NO_ENDS
    # Nothing of it is said, but it is there.
    assert numbers(put(FunctionName="echo", DestinationConfig={"OnSuccess": {}})) == (None, None)
    assert client.get_function_event_invoke_config(FunctionName="echo")


def test_what_is_deleted_is_gone(client: Any, stack: Stack) -> None:
    def is_gone() -> bool:
        listed = client.list_function_event_invoke_configs(FunctionName="echo")
        return listed["FunctionEventInvokeConfigs"] == []

    for forget in (
        lambda: client.delete_function_event_invoke_config(FunctionName="echo"),
        stack.reset,
    ):
        client.put_function_event_invoke_config(FunctionName="echo", MaximumRetryAttempts=1)
        assert not is_gone()
        answer = forget()
        assert answer is None or answer["ResponseMetadata"]["HTTPStatusCode"] == 204
        assert is_gone()
        for call in (
            client.get_function_event_invoke_config,
            client.delete_function_event_invoke_config,
        ):
            with pytest.raises(client.exceptions.ResourceNotFoundException) as caught:
                call(FunctionName="echo")
            assert caught.value.response["Message"] == (
                f"The function {ACCOUNT}echo:$LATEST doesn't have an EventInvokeConfig"
            )
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            client.update_function_event_invoke_config(FunctionName="echo", MaximumRetryAttempts=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "You must specify at least one of error handling or destination setting."),
        (
            {"DestinationConfig": {"OnFailure": {"Destination": f"{ACCOUNT}echo:$LATEST"}}},
            "You can't specify the function as a destination for itself.",
        ),
    ],
)
def test_what_is_refused_in_awss_words(client: Any, options: Any, message: str) -> None:
    with pytest.raises(client.exceptions.InvalidParameterValueException) as caught:
        client.put_function_event_invoke_config(FunctionName="echo", **options)
    assert caught.value.response["message"] == message
    assert caught.value.response["Type"] == "User"


@pytest.mark.parametrize(
    "destination",
    [
        f"{ACCOUNT}nobody",
        f"{ACCOUNT}add:7",
        "add",
        "arn:aws:sqs:eu-west-1:000000000000:a-queue",
        "arn:aws:sns:eu-west-1:000000000000:a-topic",
        "arn:aws:events:eu-west-1:000000000000:event-bus/a-bus",
        "arn:aws:s3:::a-bucket",
        "http://169.254.169.254/latest",
        "http://localhost:1/",
        "https://",
    ],
)
def test_destinations_that_cannot_be(client: Any, destination: str) -> None:
    with pytest.raises(client.exceptions.InvalidParameterValueException) as caught:
        client.put_function_event_invoke_config(
            FunctionName="echo", DestinationConfig={"OnSuccess": {"Destination": destination}}
        )
    said = caught.value.response["message"]
    assert said.startswith(f"The destination ARN {destination} is invalid. ")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"MaximumRetryAttempts": 3}, "Value '3' at 'maximumRetryAttempts'"),
        ({"MaximumRetryAttempts": -1}, "Value '-1' at 'maximumRetryAttempts'"),
        ({"MaximumEventAgeInSeconds": 59}, "Value '59' at 'maximumEventAgeInSeconds'"),
        ({"MaximumEventAgeInSeconds": 21601}, "Value '21601' at 'maximumEventAgeInSeconds'"),
    ],
)
def test_numbers_out_of_range(stack: Stack, options: Any, text: str) -> None:
    lenient = client_of(stack, parameter_validation=False)
    error = refused(
        lambda: lenient.put_function_event_invoke_config(FunctionName="echo", **options)
    )["Error"]
    assert error["Code"] == "ValidationException"
    assert error["Message"].startswith(
        f"1 validation error detected: {text} failed to satisfy constraint: Member must have value"
    )


def test_functions_that_are_not_there(client: Any) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: client.put_function_event_invoke_config(
            FunctionName="nobody", MaximumRetryAttempts=1
        ),
        lambda: client.put_function_event_invoke_config(
            FunctionName="echo", Qualifier="7", MaximumRetryAttempts=1
        ),
        lambda: client.list_function_event_invoke_configs(FunctionName="nobody"),
    ]
    for call in calls:
        with pytest.raises(client.exceptions.ResourceNotFoundException) as caught:
            call()
        assert caught.value.response["Message"] == "The function doesn't exist."


def test_a_body_that_is_no_json(stack: Stack) -> None:
    answer = stack.request(
        "/2019-09-25/functions/echo/event-invoke-config", body=b"{", method="PUT"
    )
    assert answer.status == 400
    assert answer.headers["x-amzn-errortype"] == "SerializationException"
