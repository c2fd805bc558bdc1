"""What AWS Lambda tells a Python handler about its caller and its surroundings.

https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
"""

import functools
import os
import time
from collections.abc import Mapping
from typing import Any, Self

import msgspec

DEFAULT_ACCOUNT = "000000000000"
DEFAULT_REGION = "us-east-1"
LATEST = "$LATEST"
MEMORY_MB = 128
"""AWS's default. Nothing is limited to it here."""


def function_arn(name: str, *, region: str = DEFAULT_REGION, account: str = DEFAULT_ACCOUNT) -> str:
    """Return a function's ARN, without a qualifier."""
    return f"arn:aws:lambda:{region}:{account}:function:{name}"


def name_in(arn: str) -> str:
    """Return the name of the function that a whole ARN is of, with a qualifier or without."""
    return arn.split(":")[6]


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """The `client` of a client context: the mobile application that called."""

    installation_id: Any = None
    app_title: Any = None
    app_version_name: Any = None
    app_version_code: Any = None
    app_package_name: Any = None


class ClientContext(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller of the Lambda API has said besides the payload."""

    custom: Any = None
    env: Any = None
    client: Client | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        client = given.get("client")
        return cls(
            custom=given.get("custom"),
            env=given.get("env"),
            client=Client(**{name: client.get(name) for name in Client.__struct_fields__})
            if isinstance(client, dict)
            else None,
        )


class CognitoIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Who has authorized the request; never anybody here."""

    cognito_identity_id: str | None = None
    cognito_identity_pool_id: str | None = None


class Calling(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the record keeps of a call of the Lambda API: what no other way of invoking says.

    `client_context` is the JSON object that came; `invoked_function_arn` the function as the caller
    has named it, whole; `execution_name` the name that the caller has given to the execution.
    """

    invoked_function_arn: str | None = None
    client_context: dict[str, Any] | None = None
    execution_name: str | None = None

    def encode(self) -> bytes:
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, text: bytes | None) -> Self:
        """Return what `encode` was made of; of nothing, nothing."""
        return msgspec.json.decode(text, type=cls) if text else cls()


@functools.cache
def log_stream_name() -> str:
    """Return a name for the log of this process, of the form that AWS gives them."""
    return f"{time.strftime('%Y/%m/%d', time.gmtime())}/[{LATEST}]{os.urandom(16).hex()}"


# A fork is another process.
os.register_at_fork(after_in_child=log_stream_name.cache_clear)
