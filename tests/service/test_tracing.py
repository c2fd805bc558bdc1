"""Traces on a real stack: from a request through the queue to its attempts."""

import gzip
import http.server
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from runtime.logs import reader
from runtime.testing import Stack
from tests.asking import accept, ended

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
TRACE_PARENT = {"traceparent": f"00-{TRACE}-{CALLER}-01"}

FUNCTIONS = """
from runtime import Context, function


@function(retries=1, backoff=0.05)
def flaky(context: Context) -> int:
    if context.attempt == 1:
        raise ConnectionError("not yet")
    return context.attempt


@function
def steady() -> str:
    return "done"
"""


@contextmanager
def collecting() -> Iterator[tuple[str, list[Span]]]:
    """Run a collector; yield its URL and the spans that it is sent."""
    spans: list[Span] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                raw = gzip.decompress(raw)
            request = ExportTraceServiceRequest.FromString(raw)
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    spans.extend(scope.spans)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", spans
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def functions(tmp_path: Path) -> Path:
    folder = tmp_path / "functions"
    folder.mkdir()
    (folder / "traced.py").write_text(FUNCTIONS)
    return folder


def _traced(functions: Path, url: str, *, delay_ms: int) -> Stack:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": str(delay_ms)}
    return Stack(functions_dir=functions, environment=environment)


def _attributes(span: Span) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def test_one_trace_leads_from_the_request_to_each_attempt(functions: Path) -> None:
    with collecting() as (url, spans), _traced(functions, url, delay_ms=50) as stack:
        accepted = stack.request(
            "/functions/flaky", body=b"{}", headers={**TRACE_PARENT, "Prefer": "wait=20"}
        )
        assert accepted.status == 200

        def of_trace() -> list[Span]:
            return [one for one in list(spans) if one.trace_id.hex() == TRACE]

        stack.wait_for(lambda: len(of_trace()) == 6, "the spans of the trace")
        (server,) = [one for one in of_trace() if one.kind == Span.SPAN_KIND_SERVER]
        assert server.name == "POST /functions/flaky"
        assert server.parent_span_id.hex() == CALLER
        assert _attributes(server)["http.response.status_code"] == 200
        first, second = sorted(
            (one for one in of_trace() if one.name == "process flaky"),
            key=lambda one: _attributes(one)["eyas.attempt"],
        )
        assert first.parent_span_id == second.parent_span_id == server.span_id
        assert _attributes(first)["eyas.status"] == "retrying"
        assert _attributes(first)["error.type"] == "ConnectionError"
        assert first.status.code == Status.STATUS_CODE_ERROR
        assert _attributes(second)["eyas.status"] == "succeeded"
        assert second.status.code == Status.STATUS_CODE_UNSET
        below = Counter((one.name, one.parent_span_id) for one in of_trace())
        assert below["queue flaky", first.span_id] == 1
        assert below["run flaky", first.span_id] == 1
        assert below["run flaky", second.span_id] == 1
        assert first.start_time_unix_nano < first.end_time_unix_nano <= second.start_time_unix_nano
        stack.stop("web")  # its lines are written
        lines = list(reader.read(stack.log_dir))
    traced = [line.event for line in lines if line.fields.get("trace_id") == TRACE]
    assert Counter(traced) == {"request.finished": 1, "attempt.finished": 2}


def test_what_is_left_is_sent_once_at_a_stop(functions: Path) -> None:
    with collecting() as (url, spans):
        with _traced(functions, url, delay_ms=600_000) as stack:
            ids = [accept(stack, "steady") for _ in range(20)]
            ended(stack, ids)
            assert not spans
        processed = [one for one in spans if one.name == "process steady"]
        told = Counter(_attributes(one)["messaging.message.id"] for one in processed)
    assert told == Counter(ids)


def test_probes_have_no_spans(functions: Path) -> None:
    with collecting() as (url, spans):

        def paths() -> set[str]:
            return {_attributes(one).get("url.path", "") for one in list(spans)}

        with _traced(functions, url, delay_ms=50) as stack:
            assert stack.request("/readyz").status == 200
            assert stack.request("/nowhere").status == 404
            stack.wait_for(lambda: "/nowhere" in paths(), "a span")
        assert "/readyz" not in paths()


def test_a_collector_that_is_away_stops_nothing(functions: Path) -> None:
    with _traced(functions, "http://127.0.0.1:9", delay_ms=50) as stack:
        answer = stack.request(
            "/functions/steady", body=b"{}", headers={"Prefer": "wait=20", **TRACE_PARENT}
        )
        assert (answer.status, answer.body["result"]) == (200, "done")
        worker = stack.running["worker"]
        stack.stop("worker")
        assert worker.returncode == 0
        lines = list(reader.read(stack.log_dir))
    assert any(str(line.fields["logger"]).startswith("opentelemetry.") for line in lines)


def test_a_caller_that_is_not_sampled_is_not_traced(functions: Path) -> None:
    with collecting() as (url, spans):
        with _traced(functions, url, delay_ms=50) as stack:
            answer = stack.request(
                "/functions/steady",
                body=b"{}",
                headers={"Prefer": "wait=20", "traceparent": f"00-{TRACE}-{CALLER}-00"},
            )
            assert answer.status == 200
        assert not [one for one in spans if one.trace_id.hex() == TRACE]
        names = {one.name for one in spans}
    assert "process steady" not in names
