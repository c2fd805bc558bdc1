"""What the Lambda API refuses, as typed exceptions."""

import os
import signal
from typing import Any

import pytest
import redis

from runtime.testing import Stack
from tests.lambda_api import ACCOUNT, body, client_of, post, refused


def test_an_unknown_function_is_a_typed_exception(client: Any) -> None:
    with pytest.raises(client.exceptions.ResourceNotFoundException) as caught:
        client.invoke(FunctionName="nobody", Payload=b"{}")

    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert response["Type"] == "User"
    assert response["Message"] == f"Function not found: {ACCOUNT}nobody"


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"{", "truncated"),
        (b"\x87abc", ""),
        (b'"\x87"', "UTF-8"),
        (b"[" * 200 + b"]" * 200, "nested"),
    ],
)
@pytest.mark.parametrize("kind", ["RequestResponse", "Event"])
def test_what_is_no_json_is_a_typed_exception(
    client: Any, sent: bytes, reason: str, kind: str
) -> None:
    with pytest.raises(client.exceptions.InvalidRequestContentException) as caught:
        client.invoke(FunctionName="echo", Payload=sent, InvocationType=kind)

    message = caught.value.response["message"]
    assert message.startswith(
        "Could not parse request body into json: Could not parse payload into json: "
    )
    assert reason in message


def test_what_is_too_large_is_413(client: Any) -> None:
    waited = refused(lambda: client.invoke(FunctionName="echo", Payload=b'"' + b"x" * 200_000))
    assert waited["Error"] == {
        "Code": "RequestEntityTooLargeException",
        "Message": "Request must be smaller than 200000 bytes for the InvokeFunction operation",
    }
    assert waited["ResponseMetadata"]["HTTPStatusCode"] == 413
    later = refused(
        lambda: client.invoke(
            FunctionName="echo", Payload=b'"%s"' % (b"x" * 100_000), InvocationType="Event"
        )
    )
    assert later["Error"]["Message"] == (
        "100002 byte payload is too large for the Event invocation type (limit 100000 bytes)"
    )
    assert body(client.invoke(FunctionName="echo", Payload=b'"%s"' % (b"x" * 199_998)))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"FunctionName": "my-function!"}, "Value 'my-function!' at 'functionName'"),
        ({"FunctionName": "echo", "Qualifier": "a!"}, "Value 'a!' at 'qualifier'"),
        ({"FunctionName": "echo", "InvocationType": "Later"}, "Value 'Later' at 'invocationType'"),
        ({"FunctionName": "echo", "LogType": "Head"}, "Value 'Head' at 'logType'"),
    ],
)
def test_what_has_not_the_form_of_the_model(
    client: Any, arguments: dict[str, str], text: str
) -> None:
    error = refused(lambda: client.invoke(**arguments))["Error"]

    assert error["Code"] == "ValidationException"
    assert error["Message"].startswith(
        f"1 validation error detected: {text} failed to satisfy constraint: Member must satisfy"
    )


def test_errors_are_never_problems(stack: Stack, client: Any) -> None:
    functions = "/2015-03-31/functions"
    answers = {
        404: stack.request("/2015-03-31/no-such-thing"),
        405: stack.request(f"{functions}/echo/invocations", method="DELETE"),
        400: stack.request(f"{functions}?MaxItems=x"),
        403: stack.request(functions, headers={"Host": "evil.example"}),
        501: stack.request(f"{functions}/echo/policy"),
    }
    answers[413] = post(stack, "echo", b"x" * 300_000)
    for status, answer in answers.items():
        assert answer.status == status
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-amzn-errortype"].endswith("Exception")
        assert answer.headers["x-amzn-requestid"] == answer.headers["x-request-id"]
        assert {name.lower() for name in answer.body} <= {"message", "type"}


def test_a_page_of_another_site_is_kept_out(stack: Stack) -> None:
    answer = post(stack, "echo", Origin="https://evil.example")

    assert answer.status == 403
    assert answer.headers["x-amzn-errortype"] == "AccessDeniedException"
    assert "EYAS_ALLOWED_ORIGINS" in answer.body["Message"]


def test_what_is_not_supported_says_so(client: Any) -> None:
    calls: dict[str, Any] = {
        "CreateFunction": lambda: client.create_function(
            FunctionName="f", Role="arn:aws:iam::000000000000:role/r", Code={"ZipFile": b""}
        ),
        "GetFunctionCodeSigningConfig": lambda: client.get_function_code_signing_config(
            FunctionName="echo"
        ),
        "PutFunctionRecursionConfig": lambda: client.put_function_recursion_config(
            FunctionName="echo", RecursiveLoop="Allow"
        ),
        "GetLayerVersionByArn": lambda: client.get_layer_version_by_arn(
            Arn="arn:aws:lambda:eu-west-1:000000000000:layer:some:1"
        ),
        "ListTags": lambda: client.list_tags(Resource=f"{ACCOUNT}echo"),
        "GetDurableExecutionState": lambda: client.get_durable_execution_state(
            DurableExecutionArn=f"{ACCOUNT}echo:$LATEST/durable-execution/a/b", CheckpointToken="a"
        ),
        "ListDurableExecutionsByFunction": lambda: client.list_durable_executions_by_function(
            FunctionName="echo"
        ),
        "Invoke with TenantId": lambda: client.invoke(FunctionName="echo", TenantId="a"),
    }
    for name, call in calls.items():
        response = refused(call)
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 501
        assert response["Error"]["Code"] == "NotImplementedException"
        assert response["Error"]["Message"].startswith(f"Eyas does not implement {name}.")


def test_a_call_that_takes_too_long_is_answered_504_and_goes_on(
    waiting_web: Stack, acting_worker: Any
) -> None:
    answer = post(waiting_web, "echo", b"1", Amz_Sdk_Invocation_Id="patience")

    assert answer.status == 504
    assert answer.headers["x-amzn-errortype"] == "ServiceException"
    one = answer.headers["x-amzn-requestid"]
    assert f"GET /invocations/{one}" in answer.body["Message"]
    assert acting_worker.succeed(5) == one
    again = post(waiting_web, "echo", b"1", Amz_Sdk_Invocation_Id="patience")
    assert (again.status, again.raw) == (200, b"5")


def test_too_many_are_429_and_sdks_repeat_them(waiting_web: Stack) -> None:
    for _ in range(3):
        assert post(waiting_web, "echo", X_Amz_Invocation_Type="Event").status == 202
    repeating = client_of(waiting_web, retries={"mode": "standard", "total_max_attempts": 2})
    with pytest.raises(repeating.exceptions.TooManyRequestsException) as caught:
        repeating.invoke(FunctionName="echo", InvocationType="Event")

    response = caught.value.response
    assert response["Reason"] == "ConcurrentInvocationLimitExceeded"
    assert response["retryAfterSeconds"] == "1"
    assert response["message"] == "Rate Exceeded."
    assert response["ResponseMetadata"]["RetryAttempts"] == 1


@pytest.mark.parametrize("mode", ["legacy", "standard"])
def test_sdks_repeat_what_a_broker_that_is_away_refuses(web_stack: Stack, mode: str) -> None:
    post(web_stack, "echo", X_Amz_Invocation_Type="Event")
    with redis.Redis.from_url(web_stack.redis_url) as connection:
        pid = connection.info("server")["process_id"]
    client = client_of(web_stack, retries={"mode": mode, "total_max_attempts": 2})
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(client.exceptions.ServiceException) as caught:
            client.invoke(FunctionName="echo", InvocationType="Event")
    finally:
        os.kill(pid, signal.SIGCONT)

    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert response["ResponseMetadata"]["RetryAttempts"] == 1
    assert response["Type"] == "Service"
    web_stack.wait_for(
        lambda: post(web_stack, "echo", X_Amz_Invocation_Type="Event").status == 202, "the broker"
    )
