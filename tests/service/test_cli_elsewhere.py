"""Commands whose URL is that of something else than Eyas."""

import contextlib
import http.server
import json
import sys
import threading
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from runtime.cli.__main__ import eyas

RECORD = {
    "id": "a",
    "function": "f",
    "status": "succeeded",
    "trigger": "http",
    "attempt": 1,
    "accepted_at": "0001-01-01T00:00:00Z",
    "due_at": None,
    "started_at": "2026-11-23T08:00:00Z",
    "finished_at": "2026-11-23T08:00:00Z",
    "queue_wait_ms": 1,
    "run_ms": 1,
    "result": 1,
}
RUNNING = RECORD | {"status": "running", "finished_at": None}
COMMANDS = (
    "top --once",
    "explain some-id",
    "status some-id",
    "status some-id --json",
    "status some-id --wait --seconds 1",
    "dead-letters",
    "dead-letters --json",
    "dead-letters show some-id",
    "dead-letters redrive some-id",
    "dead-letters redrive --all",
    "dead-letters purge some-id --yes",
    "dead-letters purge --all --yes",
    "schedules",
    "schedules run some",
    "schedules pause some",
    "schedules resume some",
    "tail",
    "cancel some-id",
    "invoke some",
    "invoke some --wait --seconds 1",
    "replay some-id --wait --seconds 1",
)


@contextlib.contextmanager
def served(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """Answer with a handler meanwhile; yield the URL."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def answering(status: int, raw: bytes, content_type: str) -> Iterator[str]:
    """Answer every request so; yield the URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response(status)
            if content_type:
                self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: object) -> None: ...

    with served(Handler) as url:
        yield url


def assert_refused(command: str, url: str, said: str) -> None:
    result = CliRunner().invoke(eyas, [*command.split(), "--url", url], color=True)

    assert isinstance(result.exception, SystemExit), (command, result.exception)
    assert result.exit_code == 1, (command, result.output)
    assert result.output.startswith("Error: "), command
    assert result.output.rstrip("\n").isprintable(), command
    assert said in result.output, (command, result.output)


@pytest.mark.parametrize("status", [200, 202, 500])
@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{}",
        b"5",
        b'"text"',
        b"null",
        b"",
        b"<html>hello</html>",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"id": 5, "status": [], "workers": "many", "functions": {}, "schedules": [5]}',
        b'{"dead_letters": [{"id": "a"}], "functions": [{}], "status": "unheard of"}',
        b'{"functions": [{"name": "f"}], "dead_letters": [], "next_cursor": 5}',
    ],
)
def test_answers_of_another_shape_are_one_line(status: int, body: bytes) -> None:
    with answering(status, body, "application/json") as url:
        for command in COMMANDS:
            assert_refused(command, url, f"what answers at {url} is not Eyas")


@pytest.mark.parametrize(
    "record",
    [
        RECORD | {"status": "failed"},
        RECORD | {"status": "done"},
        RECORD | {"finished_at": None},
        RECORD | {"accepted_at": "2026-11-23T08:00:00"},
        RECORD | {"queue_wait_ms": None},
        RECORD | {"history": [{"at": "2026-11-23T08:00:00Z", "what": "failed"}]},
        RECORD | {"history": [{"at": "yesterday", "what": "parked"}]},
        RUNNING | {"started_at": None, "queue_wait_ms": None},
        {name: value for name, value in RECORD.items() if name != "result"},
    ],
)
def test_records_that_cannot_be_are_one_line(record: dict[str, object]) -> None:
    with answering(200, json.dumps(record).encode(), "application/json") as url:
        for command in ("explain a", "status a"):
            assert_refused(command, url, f"what answers at {url} is not Eyas")


@pytest.mark.parametrize(
    "raw",
    [
        b"event: status\ndata: {}\n\n",
        b"event: status\ndata: []\n\n",
        b"event: status\ndata: no JSON\n\n",
        b"event: status\ndata: \xff\n\n",
    ],
)
def test_streams_of_something_else_are_one_line(raw: bytes) -> None:
    with answering(200, raw, "text/event-stream") as url:
        assert_refused("tail", url, f"what answers at {url} is not Eyas")


def test_a_stream_without_a_type_is_none() -> None:
    with answering(200, b"", "") as url:
        assert_refused("tail", url, "no stream of events")


def test_refusals_are_printed_as_text() -> None:
    problem = {"detail": "\x1b[2J\x9b31m\u202e\nError: forged"}
    with answering(404, json.dumps(problem).encode(), "application/json") as url:
        for command in COMMANDS:
            assert_refused(command, url, "Error: \\x1b[2J\\x9b31m\\u202e\\nError: forged\n")


@pytest.mark.parametrize("raw", [b"\x1b[2J hello\r\n\r\n", b""])
def test_what_speaks_no_http_is_one_line(raw: bytes) -> None:
    with speaking(raw) as url:
        said = "is not Eyas" if raw else f"no stack answers at {url}"
        for command in ("status a", "tail", "top --once"):
            assert_refused(command, url, said)


@contextlib.contextmanager
def speaking(raw: bytes) -> Iterator[str]:
    """Answer whatever comes with these bytes; yield the URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            self.wfile.write(raw)

    with served(Handler) as url:
        yield url


@pytest.mark.usefixtures("integers_as_python_limits_them")
def test_long_integers_of_another_machine_are_read() -> None:
    number = "7" * 5000
    with answering(200, b'{"result": %s}' % number.encode(), "application/json") as url:
        result = CliRunner().invoke(eyas, ["invoke", "some", "--wait", "--url", url])

    assert (result.exit_code, result.output) == (0, f"{number}\n")


@pytest.fixture
def integers_as_python_limits_them() -> Iterator[None]:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(sys.int_info.default_max_str_digits)
    yield
    sys.set_int_max_str_digits(before)
