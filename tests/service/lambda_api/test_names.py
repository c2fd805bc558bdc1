"""Names, ARNs and qualifiers of functions, and what handlers are told of their callers."""

import base64
import json
from typing import Any

import pytest

from runtime.testing import Stack
from tests.lambda_api import ACCOUNT, body, client_of, refused, request_id


def test_names_may_be_arns_and_have_the_qualifier(client: Any) -> None:
    for name in (
        "echo",
        "echo:$LATEST",
        "function:echo",
        "123456789012:function:echo",
        f"{ACCOUNT}echo",
        f"{ACCOUNT}echo:$LATEST",
    ):
        assert body(client.invoke(FunctionName=name, Payload=b"5")) == 5
    answer = client.invoke(FunctionName=f"{ACCOUNT}echo", Qualifier="$LATEST", Payload=b"5")
    assert body(answer) == 5


@pytest.mark.parametrize(
    ("name", "qualifier", "code", "text"),
    [
        ("echo:PROD", None, "ResourceNotFoundException", f"Function not found: {ACCOUNT}echo:PROD"),
        ("echo", "7", "ResourceNotFoundException", f"Function not found: {ACCOUNT}echo:7"),
        (
            "echo:PROD",
            "TEST",
            "InvalidParameterValueException",
            "The derived qualifier from the function name does not match the specified qualifier.",
        ),
        (
            "arn:aws:lambda:us-west-2:000000000000:function:echo",
            None,
            "ResourceNotFoundException",
            "Functions from 'us-west-2' are not reachable in this region ('eu-west-1')",
        ),
    ],
)
def test_there_is_one_version_in_the_callers_region(
    client: Any, name: str, qualifier: str | None, code: str, text: str
) -> None:
    arguments = {"FunctionName": name} | ({"Qualifier": qualifier} if qualifier else {})

    assert refused(lambda: client.invoke(**arguments))["Error"] == {"Code": code, "Message": text}


def test_account_and_region_are_the_signatures(stack: Stack) -> None:
    signed = client_of(stack, region="ap-south-1", key="210987654321")
    configuration = signed.get_function_configuration(FunctionName="echo")
    arn = "arn:aws:lambda:ap-south-1:210987654321:function:echo"
    assert configuration["FunctionArn"] == arn

    told = body(signed.invoke(FunctionName="tell"))
    assert told["arn"] == arn.replace(":echo", ":tell")
    unsigned = stack.request("/2015-03-31/functions/echo").body["Configuration"]["FunctionArn"]
    assert unsigned == "arn:aws:lambda:us-east-1:000000000000:function:echo"


@pytest.mark.parametrize("name", ["tell", "tell_async", "tell_in_thread"])
def test_a_handler_is_told_what_aws_tells(client: Any, name: str) -> None:
    said = {"custom": {"a": 1}, "env": {"locale": "de"}, "client": {"app_title": "Shop", "x": 1}}
    context = base64.b64encode(json.dumps(said).encode()).decode()
    answer = client.invoke(
        FunctionName=name, Qualifier="$LATEST", ClientContext=context, Payload=b"{}"
    )
    told = body(answer)

    assert (told["custom"], told["env"], told["title"]) == ({"a": 1}, {"locale": "de"}, "Shop")
    assert told["arn"] == f"{ACCOUNT}{name}:$LATEST"
    assert (told["version"], told["memory"], told["identity"]) == ("$LATEST", "128", None)
    assert told["group"] == f"/aws/lambda/{name}"
    assert "/[$LATEST]" in told["stream"]
    assert told["id"] == request_id(answer)
    if name == "tell":
        assert 0 < told["left"] <= 40_000


def test_a_plain_invocation_has_a_context_too(stack: Stack) -> None:
    told = stack.invoke("tell", 1)

    assert (told["custom"], told["env"], told["title"]) == (None, None, None)
    assert told["arn"] == "arn:aws:lambda:us-east-1:000000000000:function:tell"


@pytest.mark.parametrize(
    "context", ["string", base64.b64encode(b"[1]").decode(), "e30", "x" * 4_000]
)
def test_a_malformed_client_context_is_refused(client: Any, context: str) -> None:
    with pytest.raises(client.exceptions.InvalidRequestContentException, match="Client context"):
        client.invoke(FunctionName="tell", ClientContext=context)
