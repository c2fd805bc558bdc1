"""A stack with handlers for the Lambda API, and boto3's client for it."""

from collections.abc import Iterator
from typing import Any

import pytest

from runtime.testing import Stack
from tests.lambda_api import client_of

MODULE = '''
import logging
import os
import signal
import sys
import time
from pathlib import Path

from runtime import Context, function


class CustomException(Exception):
    pass


@function
def echo(event):
    """Return the payload."""
    return event


@function(concurrency=3)
def add(one: int, other: int = 0) -> int:
    return one + other


@function
def fail(event):
    raise CustomException("some\\nfailure")


@function(retries=2, backoff=0)
def third_time(event, context):
    print("attempt", context.attempt)
    if context.attempt < 3:
        raise OSError("not yet")
    return context.attempt


@function
def leave(code: int):
    sys.exit(code)


@function(timeout=1)
def hang(event):
    time.sleep(600)


@function
def large(bytes_: int):
    return "x" * bytes_


@function
def odd(event):
    return object()


@function
def slow(marker: str, seconds: float):
    with Path(marker).open("a") as file:
        print("run", file=file)
    time.sleep(seconds)
    return "slept"


@function
def talk(event, context):
    print("printed", event)
    logging.getLogger("a.package").warning("a library warns")
    context.log.info("talk.said", words=3)
    return None


@function
def flood(lines: int):
    for number in range(lines):
        print(f"line {number:06d}")


@function
def spell(word: str):
    """Yield a word's letters, and fail at a blank."""
    for letter in word:
        if letter == " ":
            raise CustomException("one word only")
        yield letter


@function
def die(event):
    os.kill(os.getpid(), signal.SIGKILL)


def _tell(context):
    client = context.client_context
    return {
        "custom": client and client.custom,
        "env": client and client.env,
        "title": client and client.client and client.client.app_title,
        "identity": context.identity.cognito_identity_id,
        "version": context.function_version,
        "arn": context.invoked_function_arn,
        "memory": context.memory_limit_in_mb,
        "group": context.log_group_name,
        "stream": context.log_stream_name,
        "left": context.get_remaining_time_in_millis(),
        "id": context.aws_request_id,
    }


@function(timeout=40)
def tell(event, context):
    return _tell(context)


@function
async def tell_async(event, context):
    return _tell(context)


@function(threads=2)
def tell_in_thread(event, context):
    return _tell(context)
'''


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("lambda_api") / "lambdas"
    folder.mkdir()
    (folder / "some.py").write_text(MODULE)
    (folder / "broken.py").write_text("import runtime\n\nraise RuntimeError('at import')\n")
    (folder / "missing.py").write_text("import no_such_module_anywhere\n")
    environment = {
        "EYAS_WORKERS": "2",
        "EYAS_MAX_PAYLOAD_BYTES": "100000",
        "EYAS_MAX_WAITED_PAYLOAD_BYTES": "200000",
        "EYAS_MAX_DELIVERIES": "2",
    }
    with Stack(functions_dir=folder, environment=environment) as stack:
        yield stack


@pytest.fixture(scope="session")
def client(stack: Stack) -> Any:
    return client_of(stack)


@pytest.fixture
def waiting_web(web_stack: Stack) -> Iterator[Stack]:
    """Another web on the same broker, which waits for a second only. Nothing runs."""
    environment = {"REDIS_URL": web_stack.redis_url, "EYAS_LAMBDA_WAIT_SECONDS": "1"}
    environment |= {"EYAS_MAX_OPEN": "3"}
    with Stack(
        functions_dir=web_stack.functions_dir, environment=environment, processes=("web",)
    ) as stack:
        stack.wait_for(lambda: stack.request("/healthz").status == 200, "web")
        yield stack
