"""Reserved concurrency: a limit for whoever has a function run."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import celery
import pytest
from botocore.exceptions import ReadTimeoutError

from runtime.testing import Stack
from tests.asking import accept, accept_all, assert_conserved, ended, lines, record
from tests.lambda_api import ACCOUNT, body, client_of, refused, request_id

MODULE = """
import asyncio
from pathlib import Path

from runtime import function


def note(marker, word):
    with Path(marker).open("a") as file:
        print(word, file=file)


@function
async def doze(marker: str, seconds: float = 0.02):
    note(marker, "begun")
    await asyncio.sleep(seconds)
    note(marker, "ended")


@function
async def until(marker: str):
    note(marker, "begun")
    while not Path(marker + ".go").exists():
        await asyncio.sleep(0.01)
    return "gone on"


@function
def collect(event):
    return event["requestContext"]["condition"]
"""
REASON = "ReservedFunctionConcurrentInvocationLimitExceeded"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("concurrency") / "limited"
    folder.mkdir()
    (folder / "some.py").write_text(MODULE)
    with Stack(functions_dir=folder, environment={"EYAS_WORKERS": "1"}) as stack:
        yield stack


@pytest.fixture(scope="module")
def client(stack: Stack) -> Any:
    return client_of(stack)


@pytest.fixture(autouse=True)
def _anew(stack: Stack) -> None:
    stack.reset()


def reserve(client: Any, name: str, number: int) -> dict[str, Any]:
    answer = client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=number)
    return {k: v for k, v in answer.items() if k != "ResponseMetadata"}


def is_begun(stack: Stack, marker: Path, count: int = 1) -> None:
    stack.wait_for(lambda: len(lines(marker, "begun")) == count, f"{count} attempts")


def most_at_a_time(marker: Path) -> int:
    running = most = 0
    for (word,) in lines(marker):
        running += 1 if word == "begun" else -1
        most = max(most, running)
    return most


def test_what_is_put_is_shown(client: Any, stack: Stack) -> None:
    def shown() -> tuple[Any, Any]:
        got = client.get_function_concurrency(FunctionName="doze")
        described = client.get_function(FunctionName="doze").get("Concurrency", {})
        return tuple(  # type: ignore[return-value]
            one.get("ReservedConcurrentExecutions") for one in (got, described)
        )

    assert shown() == (None, None)
    assert reserve(client, "doze", 7) == {"ReservedConcurrentExecutions": 7}
    assert shown() == (7, 7)
    assert reserve(client, f"{ACCOUNT}doze", 0) == {"ReservedConcurrentExecutions": 0}
    assert shown() == (0, 0)
    for _ in range(2):
        deleted = client.delete_function_concurrency(FunctionName="doze")
        assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
        assert shown() == (None, None)
    reserve(client, "doze", 7)
    stack.reset()
    assert shown() == (None, None)


def test_what_is_refused(client: Any, stack: Stack) -> None:
    calls = {
        "put": lambda name: reserve(client, name, 1),
        "get": lambda name: client.get_function_concurrency(FunctionName=name),
        "delete": lambda name: client.delete_function_concurrency(FunctionName=name),
    }
    for call in calls.values():
        unknown = refused(lambda call=call: call("nobody"))
        assert unknown["Error"]["Code"] == "ResourceNotFoundException"
        assert unknown["Message"] == f"Function not found: {ACCOUNT}nobody:$LATEST"
        qualified = refused(lambda call=call: call("doze:$LATEST"))
        assert qualified["Error"]["Code"] == "InvalidParameterValueException"
        assert qualified["message"].startswith(
            "This operation is permitted on Lambda functions only."
        )
    for sent, text in ((b"{}", "not be null"), (b'{"ReservedConcurrentExecutions": -1}', "-1")):
        answer = stack.request("/2017-10-31/functions/doze/concurrency", body=sent, method="PUT")
        assert answer.headers["x-amzn-errortype"] == "ValidationException"
        assert text in answer.body["message"]


def test_it_is_never_exceeded_whoever_asks(stack: Stack, client: Any, marker: Path) -> None:
    reserve(client, "doze", 3)
    payload = {"marker": str(marker)}
    ids = accept_all(stack, "doze", [payload] * 20)
    producer = celery.Celery(broker=stack.redis_url, set_as_current=False)
    ids += [producer.send_task("doze", kwargs=payload).id for _ in range(10)]
    producer.close()
    ids += [
        request_id(
            client.invoke(FunctionName="doze", InvocationType="Event", Payload=json.dumps(payload))
        )
        for _ in range(10)
    ]
    stack.wait_for(
        lambda: stack.request("/functions/doze").body["counts"]["accepted"] == len(ids),
        "Celery's messages to be claimed",
    )
    ended(stack, ids)
    # All that is reserved is made use of, too.
    assert most_at_a_time(marker) == 3
    assert_conserved(stack)


def test_what_waits_comes_when_more_may_run(stack: Stack, client: Any, marker: Path) -> None:
    reserve(client, "until", 1)
    ids = accept_all(stack, "until", [{"marker": str(marker)}] * 6)
    is_begun(stack, marker, 1)
    reserve(client, "until", 3)
    is_begun(stack, marker, 3)
    client.delete_function_concurrency(FunctionName="until")
    is_begun(stack, marker, 6)
    Path(f"{marker}.go").touch()
    ended(stack, ids)


def test_who_waits_for_one_is_refused_while_all_run(
    stack: Stack, client: Any, marker: Path
) -> None:
    reserve(client, "until", 1)
    payload = json.dumps({"marker": str(marker)})
    # What runs may be asked for again: it is the one that is reserved.
    impatient = client_of(stack, read_timeout=1, retries={"total_max_attempts": 2})
    with pytest.raises(ReadTimeoutError):
        impatient.invoke(FunctionName="until", Payload=payload)
    assert len(lines(marker, "begun")) == 1
    with pytest.raises(client.exceptions.TooManyRequestsException) as caught:
        client.invoke(FunctionName="until", Payload=payload)
    assert caught.value.response["Reason"] == REASON
    assert caught.value.response["message"] == "Rate Exceeded."
    Path(f"{marker}.go").touch()
    stack.wait_for(
        lambda: stack.request("/functions/until").body["counts"]["succeeded"] == 1, "its end"
    )
    assert body(client.invoke(FunctionName="until", Payload=payload)) == "gone on"


def test_with_none_reserved_nothing_runs(stack: Stack, client: Any, marker: Path) -> None:
    client.put_function_event_invoke_config(
        FunctionName="doze",
        DestinationConfig={"OnFailure": {"Destination": f"{ACCOUNT}collect"}},
    )
    reserve(client, "doze", 0)
    payload = {"marker": str(marker)}
    with pytest.raises(client.exceptions.TooManyRequestsException) as caught:
        client.invoke(FunctionName="doze", Payload=json.dumps(payload))
    assert caught.value.response["Reason"] == REASON

    asked = request_id(
        client.invoke(FunctionName="doze", InvocationType="Event", Payload=json.dumps(payload))
    )
    given_up = record(stack, asked)
    assert (given_up["status"], given_up["dead_letter"]) == ("failed", "ZeroReservedConcurrency")
    assert given_up["attempt"] == 0
    called = record(stack, record(stack, f"{asked}.destination.1")["result"])
    assert called["result"] == "ZeroReservedConcurrency"
    assert called["payload"]["requestContext"]["approximateInvokeCount"] == 0
    assert not {"responseContext", "responsePayload"} & set(called["payload"])

    other = record(stack, accept(stack, "doze", payload))
    assert other["dead_letter"] == "ZeroReservedConcurrency"
    assert not marker.exists()
    client.delete_function_concurrency(FunctionName="doze")
    assert stack.request(f"/dead-letters/{asked}/redrive", method="POST").status == 202
    assert record(stack, asked)["status"] == "succeeded"
    assert_conserved(stack)


def test_what_celery_has_to_carry_on_is_given_up_too(
    stack: Stack, client: Any, marker: Path
) -> None:
    reserve(client, "doze", 0)
    producer = celery.Celery(broker=stack.redis_url, backend=stack.redis_url, set_as_current=False)
    chain = celery.chain(
        producer.signature("doze", kwargs={"marker": str(marker)}),
        producer.signature("doze", immutable=True, kwargs={"marker": str(marker)}),
    )
    first = chain.apply_async().parent
    stack.wait_for(
        lambda: stack.request(f"/invocations/{first.id}").status == 200, "it to be claimed"
    )
    given_up = record(stack, first.id)
    assert given_up["dead_letter"] == "ZeroReservedConcurrency"
    assert given_up["error"]["type"] == "ZeroReservedConcurrency"
    producer.close()
    assert not marker.exists()
