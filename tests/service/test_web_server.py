"""The HTTP server itself: protocol versions, broken requests, stopping, a port that is taken."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from runtime.store import is_reachable
from runtime.testing import Stack
from runtime.testing.stack import Response

SAMPLE_FUNCTIONS = Path(__file__).parent.parent / "sample_functions"

ECHO = """
from runtime import function


@function
def echo(event):
    return event
"""


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack(functions_dir=SAMPLE_FUNCTIONS) as stack:
        yield stack


def exchange(stack: Stack, sent: bytes, *, cut_off: bool = False) -> bytes:
    """Send raw bytes, hang up or not, and return all that comes back."""
    address = urlsplit(stack.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(sent)
        if cut_off:
            connection.shutdown(socket.SHUT_WR)
        received = bytearray()
        while chunk := connection.recv(65536):
            received += chunk
    return bytes(received)


def test_http_1_0_is_served(eyas_stack: Stack) -> None:
    answer = exchange(eyas_stack, b"GET /ping HTTP/1.0\r\n\r\n")

    assert answer.startswith(b"HTTP/1.0 200 OK\r\n")
    assert answer.endswith(b'"pong!"')


def test_head_is_get_without_a_body(eyas_stack: Stack) -> None:
    answer = eyas_stack.request("/ping", method="HEAD")

    assert (answer.status, answer.raw) == (200, b"")
    assert answer.headers["content-length"] == "7"
    assert eyas_stack.request("/create", method="HEAD").status == 405


def test_a_body_that_ends_too_early_is_not_taken_for_a_payload(eyas_stack: Stack) -> None:
    head = (
        b"POST /functions/echo HTTP/1.1\r\nHost: localhost\r\n"
        b"X-Request-Id: cut-off\r\nContent-Length: 3\r\n\r\n"
    )

    exchange(eyas_stack, head + b"1", cut_off=True)

    def line() -> dict[str, object]:
        lines = (eyas_stack.log_dir / "web.log").read_text(encoding="utf-8").splitlines()
        mine = (r for r in map(json.loads, lines) if r.get("request_id") == "cut-off")
        return next(mine, {})

    eyas_stack.wait_for(lambda: bool(line()), "the request's line")
    assert line()["status"] == 400
    assert "invocation_id" not in line()


def test_a_body_of_unknown_length_that_is_too_large_is_413(eyas_stack: Stack) -> None:
    head = (
        b"POST /functions/echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunks = (b"10000\r\n" + b"1" * 65536 + b"\r\n") * 40 + b"0\r\n\r\n"

    assert exchange(eyas_stack, head + chunks).startswith(b"HTTP/1.1 413 ")


def test_what_is_no_http_is_refused(eyas_stack: Stack) -> None:
    assert exchange(eyas_stack, b"BLAH\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert eyas_stack.request("/ping").status == 200


@pytest.mark.parametrize("length", [b"-1", b"x", b""])
@pytest.mark.parametrize("target", [b"GET /functions", b"POST /functions/echo", b"GET /no/route"])
def test_a_length_that_is_none_is_refused_before_any_operation_hears_of_it(
    eyas_stack: Stack, target: bytes, length: bytes
) -> None:
    answer = exchange(
        eyas_stack,
        target + b" HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: no-length\r\n"
        b"Content-Length: " + length + b"\r\n\r\n",
    )

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b"\r\n\r\n")
    assert b"x-request-id" not in answer.lower()
    assert b"no-length" not in (eyas_stack.log_dir / "web.log").read_bytes()


def test_a_request_that_is_being_answered_is_finished_before_web_stops(stack: Stack) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(stack.invoke, "sleep", {"seconds": 2})
        stack.wait_for(
            lambda: stack.request("/functions/sleep").body["counts"]["running"] == 1, "it to run"
        )
        web = stack.running.pop("web")
        web.send_signal(signal.SIGTERM)

        assert waiting.result(20) == "slept"
        assert web.wait(10) == 0


def test_a_client_that_does_not_read_keeps_web_for_25_seconds(tmp_path: Path) -> None:
    (tmp_path / "any.py").write_text(ECHO)
    with Stack(
        functions_dir=tmp_path,
        processes=("broker", "web"),
        environment={
            "EYAS_MAX_PAYLOAD_BYTES": "20000000",
        },
    ) as stack:
        stack.wait_for(lambda: is_reachable(stack.redis_url), "the broker")
        stack.wait_for(lambda: stack.request("/functions/echo").status == 200, "web")
        body, answers = json.dumps("x" * 10_000_000).encode(), list[Response]()

        def is_accepted() -> bool:  # a busy disk may take its time for so much
            answers.append(stack.request("/functions/echo", body=body))
            return answers[-1].status == 202

        stack.wait_for(is_accepted, "it to be accepted")
        path = f"/invocations/{answers[-1].body['id']}"
        address = urlsplit(stack.url)
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.settimeout(10)
            deaf.connect((address.hostname, address.port))
            deaf.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert deaf.recv(15) == b"HTTP/1.1 200 OK"
            web = stack.running.pop("web")
            started = time.monotonic()
            web.send_signal(signal.SIGTERM)
            try:
                assert web.wait(35) == 0
            finally:
                web.kill()

            assert 24 < time.monotonic() - started < 30  # supervisord kills after 30
        lines = (stack.log_dir / "web.log").read_text(encoding="utf-8").splitlines()
        events = [json.loads(line)["event"] for line in lines[-2:]]
        assert events == ["web.requests_left", "web.stopped"]


def test_a_port_that_is_taken_is_one_clear_line(eyas_stack: Stack) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "runtime.web"],
        env=eyas_stack.process_environment | {"EYAS_LOG_DIR": str(eyas_stack.folder / "second")},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert second.returncode == 1
    port = urlsplit(eyas_stack.url).port
    assert f"cannot listen on 127.0.0.1 port {port}" in second.stdout
    assert "set PORT or EYAS_HOST" in second.stdout
    assert "Traceback" not in second.stdout + second.stderr
    lines = (eyas_stack.folder / "second" / "web.log").read_text().splitlines()
    assert json.loads(lines[-1])["event"] == "process.refused"


@pytest.mark.parametrize("process", ["web", "worker", "broker", "flower"])
def test_bad_settings_are_reported_together_and_without_a_traceback(process: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", f"runtime.{process}"],
        env={"PATH": "", "PORT": "x", "EYAS_WORKERS": "0"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert run.returncode == 1
    assert run.stderr.splitlines() == [
        "eyas: PORT='x': expected a port number from 1 to 65535",
        "eyas: EYAS_WORKERS='0': expected a whole number from 1",
    ]
