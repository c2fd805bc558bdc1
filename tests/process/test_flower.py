"""Flower as a process: who may reach it, and what it does while the broker is away."""

import base64
import json
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from runtime.testing import Stack

# Celery prefers this variable to what it is told; nothing listens there.
MISLEADING = {"CELERY_BROKER_URL": "redis://127.0.0.1:1/0"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("functions")
    with Stack(
        functions_dir=folder, processes=("broker", "flower"), environment=MISLEADING
    ) as stack:
        wait_for_events(stack, "flower.connected")
        yield stack


def port_of(stack: Stack) -> int:
    return int(stack.process_environment["EYAS_FLOWER_PORT"])


def records(stack: Stack) -> list[dict[str, Any]]:
    try:
        text = (stack.log_dir / "flower.log").read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text.splitlines()]


def wait_for_events(stack: Stack, name: str, *, count: int = 1) -> None:
    stack.wait_for(
        lambda: sum(record["event"] == name for record in records(stack)) >= count, name, seconds=20
    )


def get(stack: Stack, path: str, *, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    url = f"http://127.0.0.1:{port_of(stack)}{path}"
    request = urllib.request.Request(url, headers=dict(headers or {}))
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def shows_worker(stack: Stack, name: str) -> bool:
    """Send one event as a worker called `name`, and tell whether Flower has heard of it."""
    app = Celery(broker=stack.redis_url, set_as_current=False)
    with (
        app.connection_for_write() as connection,
        app.events.Dispatcher(connection, hostname=name) as dispatcher,
    ):
        dispatcher.send("worker-heartbeat", freq=2)
    app.close()
    _, page = get(stack, "/workers")
    return name.encode() in page


def test_it_shows_workers_of_our_broker_and_of_no_other(stack: Stack) -> None:
    stack.wait_for(lambda: shows_worker(stack, "someone@here"), "the worker's event")


def test_it_listens_on_loopback_only(stack: Stack) -> None:
    with pytest.raises(OSError, match=r"refused|unreachable|timed out"):
        socket.create_connection(("127.0.0.2", port_of(stack)), timeout=1)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:5555", "127.0.0.1:1", "[::1]:5555"])
def test_it_answers_to_names_of_this_machine(stack: Stack, host: str) -> None:
    assert get(stack, "/", headers={"Host": host})[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil:5555"])
@pytest.mark.parametrize("path", ["/", "/tasks", "/static/js/flower.js", "/nothing"])
def test_it_refuses_pages_of_other_sites(stack: Stack, host: str, path: str) -> None:
    status, text = get(stack, path, headers={"Host": host})
    assert status == 421
    assert b"EYAS_ALLOWED_HOSTS" in text


def test_every_line_of_the_log_is_a_record_of_a_known_form(stack: Stack) -> None:
    get(stack, "/no-such-page?search=secret")
    stack.wait_for(lambda: any(r.get("status") == 404 for r in records(stack)), "the 404")
    assert {record["process"] for record in records(stack)} == {"flower"}
    assert {record["logger"] for record in records(stack)} <= {"flower", "runtime"}
    assert "secret" not in (stack.log_dir / "flower.log").read_text(encoding="utf-8")


def test_a_taken_port_is_one_line_that_names_the_setting(stack: Stack, tmp_path: Path) -> None:
    environment = {"EYAS_FLOWER_PORT": str(port_of(stack)), "REDIS_URL": stack.redis_url}
    with Stack(functions_dir=tmp_path, processes=("flower",), environment=environment) as second:
        assert second.running["flower"].wait(20) == 1
        [_, line] = second.output().splitlines()
    assert "process.refused" in line
    assert "EYAS_FLOWER_PORT" in line


def test_it_connects_again_after_the_broker_was_away_and_stops_clean(tmp_path: Path) -> None:
    with Stack(functions_dir=tmp_path, processes=("broker", "flower")) as stack:
        wait_for_events(stack, "flower.connected")
        stack.wait_for(lambda: shows_worker(stack, "first@here"), "an event to be received")
        stack.kill("broker")
        wait_for_events(stack, "flower.disconnected")
        stack.start("broker")
        wait_for_events(stack, "flower.connected", count=2)
        stack.wait_for(lambda: shows_worker(stack, "later@here"), "the worker's event")

        # The broker is gone again, and Flower's threads are asking it when the signal comes.
        stack.kill("broker")
        wait_for_events(stack, "flower.disconnected", count=2)
        sent_at = time.monotonic()
        assert stack.stop("flower") == 0
        assert time.monotonic() - sent_at < 2


def test_it_waits_for_the_broker_and_can_be_stopped_meanwhile(tmp_path: Path) -> None:
    with Stack(functions_dir=tmp_path, processes=("flower",)) as stack:
        wait_for_events(stack, "process.waiting")
        process = stack.running["flower"]
        process.send_signal(signal.SIGINT)
        assert process.wait(2) == 0


def test_with_credentials_it_asks_for_them(stack: Stack, tmp_path: Path) -> None:
    environment = {"EYAS_FLOWER_BASIC_AUTH": "falcon:hood", "REDIS_URL": stack.redis_url}
    with Stack(functions_dir=tmp_path, processes=("flower",), environment=environment) as guarded:
        wait_for_events(guarded, "flower.listening")
        for path in ("/", "/tasks", "/api/workers", "/metrics", "/static/js/flower.js"):
            assert get(guarded, path)[0] == 401, path
        wrong = base64.b64encode(b"falcon:glove").decode()
        assert get(guarded, "/", headers={"Authorization": f"Basic {wrong}"})[0] == 401
        right = base64.b64encode(b"falcon:hood").decode()
        assert get(guarded, "/", headers={"Authorization": f"Basic {right}"})[0] == 200
