"""Callbacks: a URL is told of an invocation's end, whatever happens on the way."""

import base64
import contextlib
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from runtime.testing import Stack
from tests.asking import accept, logged, record
from tests.conftest import SAMPLE_FUNCTIONS
from tests.receiver import Receiver, receiving

SECRET = "a secret of some length"  # noqa: S105


def _check_signature(headers: Mapping[str, str], raw: bytes) -> None:
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + raw
    expected = base64.b64encode(hmac.digest(SECRET.encode(), signed, hashlib.sha256))
    assert headers["webhook-signature"] == f"v1,{expected.decode()}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(_check_signature) as receiver:
        yield receiver


@contextlib.contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Yield the URL of a server that does what it likes with each connection."""
    connections: list[socket.socket] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connections.append(listener.accept()[0])
                threading.Thread(target=speak, args=(connections[-1],)).start()

    def speak(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            answer(connection)

    with socket.create_server(("127.0.0.1", 0), backlog=500) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    environment = {
        "EYAS_WORKERS": "1",
        "EYAS_CALLBACK_SECRET": SECRET,
        "EYAS_CALLBACK_HOSTS": "127.0.0.1",
    }
    with Stack(functions_dir=SAMPLE_FUNCTIONS, environment=environment) as stack:
        yield stack


@pytest.fixture(autouse=True)
def _anew(stack: Stack) -> None:
    stack.reset()


def invoke(stack: Stack, name: str, payload: Any, url: str) -> str:
    answer = stack.request(
        f"/functions/{name}", body=json.dumps(payload).encode(), headers={"Eyas-Callback": url}
    )
    assert answer.status == 202, answer.raw
    return str(answer.body["id"])


def until(stack: Stack, is_true: Callable[[], bool]) -> None:
    stack.wait_for(is_true, "the callback")


def test_success_and_failure_are_told(stack: Stack, receiver: Receiver) -> None:
    done = invoke(stack, "nested", {"a": 1}, receiver.url)
    failed = invoke(stack, "fail", {}, receiver.url)
    until(stack, lambda: len(receiver.received) == 2)

    events = {event["subject"]: event for event in receiver.events()}
    told = events[done]
    assert told["specversion"] == "1.0"
    assert told["type"] == "dev.eyas.invocation.succeeded"
    assert told["source"] == "/functions/nested"
    assert told["data"] == record(stack, done)
    assert told["time"] == told["data"]["finished_at"]
    assert told["id"] == f"{done}.callback.1"
    assert events[failed]["type"] == "dev.eyas.invocation.failed"
    assert events[failed]["data"]["error"]["type"] == "OrderError"
    headers = receiver.received[0][0]
    assert headers["content-type"].startswith("application/cloudevents+json")
    # It is an invocation like any other, and has succeeded.
    assert record(stack, told["id"])["result"] == 204
    assert record(stack, told["id"])["trigger"] == "callback"


def test_cancelling_is_told_whether_it_runs_or_waits(stack: Stack, receiver: Receiver) -> None:
    running = invoke(stack, "sleep", {"seconds": 30}, receiver.url)
    stack.wait_for(
        lambda: stack.request(f"/invocations/{running}").body["status"] == "running", "the attempt"
    )
    waiting = invoke(stack, "sleep", {"seconds": 30}, receiver.url)
    for name in (waiting, running):
        assert stack.request(f"/invocations/{name}", method="DELETE").status == 202
    until(stack, lambda: len(receiver.received) == 2)
    assert {event["subject"] for event in receiver.events()} == {running, waiting}
    assert {event["type"] for event in receiver.events()} == {"dev.eyas.invocation.cancelled"}


def test_a_callback_that_is_not_taken_comes_again(stack: Stack, receiver: Receiver) -> None:
    receiver.statuses += [500, 429, 302]
    done = invoke(stack, "nested", {"a": 1}, receiver.url)
    callback = f"{done}.callback.1"
    for count in (1, 2, 3):
        until(stack, lambda count=count: len(receiver.received) == count)  # type: ignore[misc]
        stack.wait_for(
            lambda: stack.request(f"/invocations/{callback}").body["status"] == "retrying",
            "a failure",
        )
        stack.advance(4_000)
    assert record(stack, callback)["attempt"] == 4
    assert len(receiver.received) == 4
    assert len({event["id"] for event in receiver.events()}) == 1


def test_who_wants_no_more_gets_no_more(stack: Stack, receiver: Receiver) -> None:
    receiver.statuses += [410]
    done = invoke(stack, "nested", {"a": 1}, receiver.url)
    until(stack, lambda: len(receiver.received) == 1)
    told = record(stack, f"{done}.callback.1")
    assert (told["status"], told["dead_letter"], told["attempt"]) == ("failed", "Permanent", 1)


def test_each_end_of_one_that_is_redriven_is_told(stack: Stack, receiver: Receiver) -> None:
    one = invoke(stack, "fail", {}, receiver.url)
    until(stack, lambda: len(receiver.received) == 1)
    accept(stack, "sleep", {"seconds": 30})
    stack.wait_for(
        lambda: stack.request("/functions/sleep").body["counts"]["running"] == 1, "the other one"
    )
    assert stack.request(f"/dead-letters/{one}/redrive", method="POST").status == 202
    # It has not run again, and ends again.
    assert stack.request(f"/invocations/{one}", method="DELETE").status == 202
    until(stack, lambda: len(receiver.received) == 2)
    event = receiver.events()[1]
    assert (event["id"], event["type"]) == (f"{one}.callback.2", "dev.eyas.invocation.cancelled")
    stack.reset()  # lest the other one is waited for


def test_a_killed_worker_loses_no_callback(stack: Stack, receiver: Receiver) -> None:
    receiver.statuses += [503]
    done = invoke(stack, "nested", {"a": 1}, receiver.url)
    until(stack, lambda: len(receiver.received) == 1)
    stack.kill("worker")
    stack.start("worker")
    stack.wait_for(lambda: (stack.advance(60), len(receiver.received) == 2)[1], "the second one")
    assert record(stack, f"{done}.callback.1")["status"] == "succeeded"


def test_all_of_a_batch_are_told_of(stack: Stack, receiver: Receiver) -> None:
    answer = stack.request(
        "/functions/nested/batch", body=b"[1, 2, 3]", headers={"Eyas-Callback": receiver.url}
    )
    until(stack, lambda: len(receiver.received) == 3)
    assert {event["subject"] for event in receiver.events()} == set(answer.body["ids"])


def test_an_answer_that_never_ends_is_cut_off_and_stops_nobody_else(stack: Stack) -> None:
    def trickle(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            time.sleep(1)

    with answering(trickle) as url:
        callback = invoke(stack, "nested", {"a": 1}, url) + ".callback.1"
        stack.wait_for(
            lambda: stack.request(f"/invocations/{callback}").body["status"] == "retrying", "an end"
        )
        error = stack.request(f"/invocations/{callback}").body["error"]
    assert error["type"] == "WebhookFailedError"


def test_what_the_network_says_is_logged_once_and_without_where_in_our_code(stack: Stack) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
        callback = invoke(stack, "nested", {"a": 1}, url) + ".callback.1"
        stack.wait_for(lambda: record(stack, callback)["status"] == "retrying", "an end")
    told = logged(stack, lambda line: line.get("invocation_id") == callback and "exception" in line)
    assert "ConnectionRefusedError" in json.dumps(told)
    assert "socket.py" not in json.dumps(told)
    stack.reset()


def test_who_does_not_answer_keeps_nothing_else_from_running(stack: Stack) -> None:
    with answering(lambda _: None) as url:
        body = json.dumps([{"a": 1}] * 300).encode()
        headers = {"Eyas-Callback": url}
        assert stack.request("/functions/nested/batch", body=body, headers=headers).status == 202
        stack.wait_for(
            lambda: stack.request("/functions/nested").body["counts"]["succeeded"] == 300,
            "the ends",
        )
        assert stack.invoke("nested", {"a": 1}, seconds=5) is not None
        stack.reset()


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/", "http://localhost:1/", "http://169.254.169.254/latest", "x", ""]
)
def test_internal_addresses_are_refused(stack: Stack, url: str) -> None:
    answer = stack.request("/functions/nested", body=b"1", headers={"Eyas-Callback": url})
    assert answer.status == 400
    assert "Eyas-Callback" in answer.body["detail"]
    assert stack.request("/functions/nested").body["counts"]["accepted"] == 0


def test_without_a_secret_there_are_none(web_stack: Stack) -> None:
    headers = {"Eyas-Callback": "http://example.com/"}
    answer = web_stack.request("/functions/echo", body=b"1", headers=headers)
    assert answer.status == 400
    assert "EYAS_CALLBACK_SECRET" in answer.body["detail"]
