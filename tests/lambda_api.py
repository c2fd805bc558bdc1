"""What tests ask of a stack through the Lambda API."""

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from runtime.testing import Stack
from runtime.testing.stack import Response

ACCOUNT = "arn:aws:lambda:eu-west-1:000000000000:function:"


def client_of(stack: Stack, *, region: str = "eu-west-1", key: str = "test", **config: Any) -> Any:
    """A client as anybody would make it; without repetitions, unless they are asked for."""
    return boto3.client(
        "lambda",
        endpoint_url=stack.url,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key="secret",
        config=Config(**{"retries": {"total_max_attempts": 1}, **config}),
    )


def body(answer: Any) -> Any:
    return json.loads(answer["Payload"].read())


def request_id(answer: Any) -> str:
    return str(answer["ResponseMetadata"]["RequestId"])


def refused(call: Callable[[], Any]) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        call()
    return dict(caught.value.response)


def post(stack: Stack, name: str, sent: bytes = b"{}", query: str = "", **headers: str) -> Response:
    path = f"/2015-03-31/functions/{name}/invocations{query}"
    named = {k.replace("_", "-"): v for k, v in headers.items()}
    return stack.request(path, body=sent, headers=named, method="POST")
