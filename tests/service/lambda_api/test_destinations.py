"""What became of an asynchronous call goes to its destination, whatever is killed on the way."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from runtime import Context, function
from runtime.message import QUEUE
from runtime.store import Store
from runtime.store.step import Step
from runtime.testing import Stack
from runtime.worker.destinations import MOST_IN_A_ROW, destination_function
from tests.asking import accept, assert_conserved, logged, record, until_failed
from tests.lambda_api import ACCOUNT, client_of, request_id
from tests.receiver import Receiver, receiving
from tests.service.conftest import ActingWorker

MODULE = """
from runtime import PermanentError, function


@function
def work(event):
    return {"done": event}


@function
def fail(event):
    raise ValueError("no")


@function
def refuse(event):
    raise PermanentError("never")


@function
def collect(event):
    return event["requestContext"]["condition"]


@function
def collect_too(event):
    return event["requestContext"]["functionArn"]


@function
def picky(number: int):
    return number
"""
PROCESSES = ("broker", "web", "worker", "scheduler")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("destinations") / "told"
    folder.mkdir()
    (folder / "some.py").write_text(MODULE)
    environment = {"EYAS_WORKERS": "1", "EYAS_CALLBACK_HOSTS": "127.0.0.1"}
    with Stack(functions_dir=folder, environment=environment) as stack:
        yield stack


@pytest.fixture(scope="module")
def client(stack: Stack) -> Any:
    return client_of(stack)


@pytest.fixture(autouse=True)
def _anew(stack: Stack) -> None:
    stack.reset()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def event(client: Any, name: str, payload: Any = None) -> str:
    return request_id(
        client.invoke(
            FunctionName=name, InvocationType="Event", Payload=json.dumps(payload or {"n": 10})
        )
    )


def tell(client: Any, name: str, **options: Any) -> None:
    """Say what is to be told of a function: `success="collect"`, and what else boto3 takes."""
    ends = {
        f"On{end.title()}": {"Destination": to if "://" in to else ACCOUNT + to}
        for end, to in options.items()
        if end in {"success", "failure"}
    }
    others = {k: v for k, v in options.items() if k not in {"success", "failure"}}
    client.put_function_event_invoke_config(FunctionName=name, DestinationConfig=ends, **others)


def told(stack: Stack, invocation_id: str, number: int = 1) -> dict[str, Any]:
    """Return the record of the invocation that a destination's function is called by."""
    telling = telling_of(stack, invocation_id, number)
    assert telling["status"] == "succeeded", telling
    return record(stack, telling["result"])


def telling_of(stack: Stack, invocation_id: str, number: int = 1) -> dict[str, Any]:
    """Return the record of what tells the destination, waiting for the end of both."""
    record(stack, invocation_id)  # until then it is not there
    return record(stack, f"{invocation_id}.destination.{number}")


def test_a_success_is_told_to_a_function(stack: Stack, client: Any) -> None:
    tell(client, "work", success="collect")
    done = event(client, "work", {"n": [1, "ü"]})

    called = told(stack, done)
    assert called["function"] == "collect"
    assert called["trigger"] == "destination"
    assert called["result"] == "Success"
    ended = record(stack, done)
    assert called["payload"] == {
        "version": "1.0",
        "timestamp": ended["finished_at"][:23] + "Z",
        "requestContext": {
            "requestId": done,
            "functionArn": "arn:aws:lambda:eu-west-1:000000000000:function:work:$LATEST",
            "condition": "Success",
            "approximateInvokeCount": 1,
        },
        "requestPayload": {"n": [1, "ü"]},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
        "responsePayload": {"done": {"n": [1, "ü"]}},
    }


def assert_exhausted(called: dict[str, Any], failed: str) -> None:
    sent = called["payload"]
    assert sent["requestContext"]["requestId"] == failed
    assert sent["requestContext"]["condition"] == "RetriesExhausted"
    assert sent["requestContext"]["approximateInvokeCount"] == 3
    assert sent["requestPayload"] == {"n": 10}
    assert sent["responseContext"]["functionError"] == "Unhandled"
    assert sent["responsePayload"]["errorType"] == "ValueError"
    assert sent["responsePayload"]["errorMessage"] == "no"
    assert sent["responsePayload"]["requestId"] == failed
    assert "raise ValueError" in sent["responsePayload"]["stackTrace"][-1]


def test_three_failures_are_told_of(stack: Stack, client: Any) -> None:
    tell(client, "fail", success="collect_too", failure="collect")
    failed = event(client, "fail")
    for attempt, pause in ((1, 60), (2, 120)):
        until_failed(stack, failed, attempt)
        stack.advance(pause)

    assert_exhausted(told(stack, failed), failed)
    assert stack.request("/functions/collect_too").body["counts"]["accepted"] == 0
    assert_conserved(stack)


def test_three_failures_are_told_of_whatever_is_killed(stack: Stack, client: Any) -> None:
    tell(client, "fail", failure="collect")
    failed = event(client, "fail")
    for attempt, pause in ((1, 60), (2, 120)):
        until_failed(stack, failed, attempt)
        for name in PROCESSES:
            stack.kill(name)
        for name in PROCESSES:
            stack.start(name)
        stack.wait_until_ready()
        stack.advance(pause)

    assert_exhausted(told(stack, failed), failed)
    assert stack.request("/functions/collect").body["counts"]["accepted"] == 1
    assert_conserved(stack)


def test_a_failure_is_told_to_a_url(stack: Stack, client: Any, receiver: Receiver) -> None:
    receiver.statuses += [500]
    tell(client, "refuse", failure=receiver.url)
    failed = event(client, "refuse")
    telling = f"{failed}.destination.1"
    record(stack, failed)
    until_failed(stack, telling, 1)
    stack.advance(10)

    assert record(stack, telling)["result"] == 204
    first, second = receiver.events()
    assert first == second
    assert first["requestContext"]["condition"] == "RetriesExhausted"
    assert first["requestContext"]["approximateInvokeCount"] == 1
    headers = receiver.received[0][0]
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == telling
    assert "webhook-signature" not in headers


def test_one_that_would_be_too_old_is_told_of(stack: Stack, client: Any) -> None:
    tell(client, "fail", failure="collect", MaximumEventAgeInSeconds=60)
    failed = event(client, "fail")

    context = told(stack, failed)["payload"]["requestContext"]
    assert (context["condition"], context["approximateInvokeCount"]) == ("EventAgeExceeded", 1)


def test_the_retries_that_were_said_are_made(stack: Stack, client: Any) -> None:
    tell(client, "fail", failure="collect", MaximumRetryAttempts=0)
    failed = event(client, "fail")
    # What was accepted is not changed by what is said later.
    client.delete_function_event_invoke_config(FunctionName="fail")

    assert told(stack, failed)["payload"]["requestContext"]["approximateInvokeCount"] == 1
    later = event(client, "fail")
    until_failed(stack, later, 1)
    assert record(stack, later, wait=0)["max_attempts"] == 3


def test_only_asynchronous_calls_of_this_api_are_told_of(stack: Stack, client: Any) -> None:
    tell(client, "work", success="collect")
    waited = request_id(client.invoke(FunctionName="work", Payload=b"1"))
    other = accept(stack, "work")
    assert record(stack, other)["status"] == "succeeded"
    for one in (waited, other):
        assert stack.request(f"/invocations/{one}.destination.1").status == 404
    older = request_id(client.invoke_async(FunctionName="work", InvokeArgs=b"1"))
    assert told(stack, older)["result"] == "Success"


def test_one_that_was_cancelled_is_not_told_of(stack: Stack, client: Any) -> None:
    tell(client, "fail", success="collect", failure="collect")
    asked = event(client, "fail")
    until_failed(stack, asked, 1)
    assert stack.request(f"/invocations/{asked}", method="DELETE").status == 202
    assert record(stack, asked)["status"] == "cancelled"
    assert stack.request(f"/invocations/{asked}.destination.1").status == 404


def test_each_end_of_one_that_is_redriven_is_told(stack: Stack, client: Any) -> None:
    tell(client, "refuse", failure="collect")
    asked = event(client, "refuse")
    first = told(stack, asked)
    assert stack.request(f"/dead-letters/{asked}/redrive", method="POST").status == 202
    second = told(stack, asked, 2)
    assert first["id"] != second["id"]
    assert second["payload"]["requestContext"]["approximateInvokeCount"] == 2


def test_a_destination_has_its_own_destinations(stack: Stack, client: Any) -> None:
    tell(client, "work", success="picky")
    tell(client, "picky", failure="collect_too", MaximumRetryAttempts=0)
    first = told(stack, event(client, "work"))
    # The record does not fit it: it fails, as the handler would.
    assert first["error"]["type"] == "InvalidPayload"
    last = told(stack, first["id"])
    assert last["function"] == "collect_too"
    assert last["payload"]["requestContext"]["requestId"] == first["id"]
    assert last["result"] == f"{ACCOUNT}picky:$LATEST"


def test_a_loop_ends(stack: Stack, client: Any) -> None:
    tell(client, "collect", success="collect_too")
    tell(client, "collect_too", success="collect")
    seed = json.dumps({"requestContext": {"condition": "", "functionArn": ""}})
    one = request_id(client.invoke(FunctionName="collect", InvocationType="Event", Payload=seed))
    for _ in range(MOST_IN_A_ROW - 1):
        one = told(stack, one)["id"]
    ended = telling_of(stack, one)
    assert (ended["status"], ended["dead_letter"]) == ("failed", "Permanent")
    assert "loop" in ended["error"]["message"]
    accepted = [
        stack.request(f"/functions/{name}").body["counts"]["accepted"]
        for name in ("collect", "collect_too")
    ]
    assert sum(accepted) == MOST_IN_A_ROW


def test_a_function_that_is_gone_is_a_dead_letter(stack: Stack, client: Any) -> None:
    new = stack.functions_dir / "soon_gone.py"
    new.write_text("from runtime import function\n\n\n@function\ndef soon_gone(event): ...\n")
    is_there = lambda: stack.request("/functions/soon_gone").status == 200  # noqa: E731
    stack.wait_for(is_there, "the function")
    # Web may be ahead of the worker.
    assert stack.invoke("soon_gone") is None
    tell(client, "work", success="soon_gone")
    new.unlink()
    is_wanted = lambda line: "soon_gone" in line.get("removed", ())  # noqa: E731
    stack.wait_for(lambda: bool(logged(stack, is_wanted)), "the worker to see it")

    ended = telling_of(stack, event(client, "work"))
    assert ended["dead_letter"] == "Permanent"
    assert "soon_gone" in ended["error"]["message"]


@pytest.fixture
def doomed(stack: Stack) -> Iterator[ActingWorker]:
    """A worker that dies at a certain step, in place of the real one."""
    stack.stop("worker")
    store = Store(stack.redis_url)
    yield ActingWorker(store=store)
    store.close()
    if "worker" not in stack.running:
        stack.start("worker")
    stack.wait_until_ready()


def until_queued(stack: Stack, store: Store) -> None:
    """Wait until there is a message; whoever has waited for one last may have got it."""
    length = Step(arguments=("LLEN", QUEUE), parse=int)
    stack.wait_for(lambda: store.run(length) == 1, "the message")


def test_an_attempt_that_is_repeated_calls_it_once(
    stack: Stack, client: Any, doomed: ActingWorker
) -> None:
    tell(client, "work", success="collect")
    asked = event(client, "work")
    until_queued(stack, doomed.store)

    @function
    def collect(event: Any) -> None: ...

    assert doomed.succeed("done") == asked
    _, telling = doomed.start()
    payload = stack.request(f"/invocations/{telling}").body["payload"]
    tells = destination_function(doomed.settings, doomed.store, {"collect": collect})
    called = tells.handler(
        **payload,
        context=Context(
            invocation_id=telling, function_name=tells.name, attempt=1, timeout_seconds=60
        ),
    )
    # It dies between the call of the destination and the end of the attempt.
    stack.start("worker")

    assert told(stack, asked)["id"] == called
    assert record(stack, telling)["attempt"] == 2
    assert stack.request("/functions/collect").body["counts"]["accepted"] == 1
    assert_conserved(stack)
