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
from tests.asking import accept, ended, record
from tests.lambda_api import ACCOUNT, client_of, post
from tests.receiver import Receiver, receiving

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


@function
def forward(event):
    return "done"


@function(retries=1, backoff=0.05)
def hopeless(event):
    raise ValueError("no")


@function
def after(event):
    return event["requestContext"]["condition"]
"""
TELLING = {
    "EYAS_CALLBACK_SECRET": "a secret of some length",
    "EYAS_CALLBACK_HOSTS": "127.0.0.1",
}


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


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def _traced(functions: Path, url: str, *, delay_ms: int) -> Stack:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": str(delay_ms)}
    return Stack(functions_dir=functions, environment=environment | TELLING)


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


# --- what tells of an end --------------------------------------------------------------------


def _of_trace(stack: Stack, spans: list[Span], names: list[str]) -> list[Span]:
    """Wait for the `process` spans of the trace; return them, named so, in this order."""
    wanted = sorted(f"process {name}" for name in names)

    def found() -> dict[str, list[Span]]:
        mine = [one for one in list(spans) if one.trace_id.hex() == TRACE]
        named: dict[str, list[Span]] = {name: [] for name in wanted}
        for one in sorted(mine, key=lambda one: one.end_time_unix_nano):
            if one.name.startswith("process "):
                named.setdefault(one.name, []).append(one)
        return named

    stack.wait_for(
        lambda: sorted(name for name, each in found().items() for _ in each) == wanted,
        "the spans of the trace",
    )
    named = found()
    return [named[f"process {name}"].pop(0) for name in names]


def _sent(receiver: Receiver) -> list[str | None]:
    return [headers.get("traceparent") for headers, _ in receiver.received]


def test_a_callback_is_below_the_attempt_that_ended_its_invocation(
    functions: Path, receiver: Receiver
) -> None:
    receiver.statuses += [500]  # it comes again, in the same trace
    with collecting() as (url, spans), _traced(functions, url, delay_ms=50) as stack:
        answer = stack.request(
            "/functions/flaky", body=b"{}", headers={**TRACE_PARENT, "Eyas-Callback": receiver.url}
        )
        stack.wait_for(lambda: len(receiver.received) == 1, "the callback")
        record(stack, answer.body["id"])
        stack.wait_for(
            lambda: (
                stack.request(f"/invocations/{answer.body['id']}.callback.1").body["status"]
                == "retrying"
            ),
            "a failure",
        )
        stack.advance(4_000)
        names = ["flaky", "flaky", "eyas.callback", "eyas.callback"]
        first, second, *tellings = _of_trace(stack, spans, names)
        assert first.span_id != second.span_id
        assert [one.parent_span_id for one in tellings] == [second.span_id] * 2
        assert _sent(receiver) == [f"00-{TRACE}-{second.span_id.hex()}-01"] * 2


def test_a_destination_is_below_the_attempt_that_ended_its_call(
    functions: Path, receiver: Receiver
) -> None:
    with collecting() as (url, spans), _traced(functions, url, delay_ms=50) as stack:
        client = client_of(stack)

        def tell(name: str, end: str, to: str) -> None:
            client.put_function_event_invoke_config(
                FunctionName=name,
                MaximumRetryAttempts=0,
                DestinationConfig={end: {"Destination": to}},
            )

        tell("hopeless", "OnFailure", f"{ACCOUNT}after")
        tell("after", "OnSuccess", receiver.url)
        post(stack, "hopeless", X_Amz_Invocation_Type="Event", **TRACE_PARENT)

        names = ["hopeless", "eyas.destination", "after", "eyas.destination"]
        hopeless, telling, after, sending = _of_trace(stack, spans, names)
        assert telling.parent_span_id == after.parent_span_id == hopeless.span_id
        assert sending.parent_span_id == after.span_id
        assert _sent(receiver) == [f"00-{TRACE}-{after.span_id.hex()}-01"]


def test_what_is_refused_and_not_run_is_told_of_in_its_trace(
    functions: Path, receiver: Receiver
) -> None:
    with collecting() as (url, spans), _traced(functions, url, delay_ms=50) as stack:
        client = client_of(stack)
        client.put_function_event_invoke_config(
            FunctionName="forward", DestinationConfig={"OnFailure": {"Destination": receiver.url}}
        )
        stack.stop("worker")
        post(stack, "forward", X_Amz_Invocation_Type="Event", **TRACE_PARENT)
        client.put_function_concurrency(FunctionName="forward", ReservedConcurrentExecutions=0)
        stack.start("worker")

        refused, telling = _of_trace(stack, spans, ["forward", "eyas.destination"])
        assert _attributes(refused)["eyas.status"] == "failed"
        assert telling.parent_span_id == refused.span_id
        assert _sent(receiver) == [f"00-{TRACE}-{refused.span_id.hex()}-01"]


def test_of_a_caller_that_is_not_sampled_nothing_is_sampled_later(
    functions: Path, receiver: Receiver
) -> None:
    with collecting() as (url, spans):
        with _traced(functions, url, delay_ms=50) as stack:
            headers = {"traceparent": f"00-{TRACE}-{CALLER}-00", "Eyas-Callback": receiver.url}
            answer = stack.request("/functions/steady", body=b"{}", headers=headers)
            record(stack, answer.body["id"])
            record(stack, f"{answer.body['id']}.callback.1")
        (sent,) = _sent(receiver)
        assert sent is not None
        assert sent.startswith(f"00-{TRACE}-")
        assert sent.endswith("-00")
        assert "process eyas.callback" not in {one.name for one in spans}


def test_without_traces_the_callers_own_goes_to_who_is_told(
    functions: Path, receiver: Receiver
) -> None:
    with Stack(functions_dir=functions, environment=TELLING) as stack:
        for headers in ({}, TRACE_PARENT):
            answer = stack.request(
                "/functions/steady", body=b"{}", headers={**headers, "Eyas-Callback": receiver.url}
            )
            record(stack, answer.body["id"])
            record(stack, f"{answer.body['id']}.callback.1")
    assert _sent(receiver) == [None, TRACE_PARENT["traceparent"]]


def test_cancelling_what_waits_begins_a_trace(functions: Path, receiver: Receiver) -> None:
    with collecting() as (url, spans), _traced(functions, url, delay_ms=50) as stack:
        answer = stack.request(
            "/functions/steady",
            body=b"{}",
            headers={**TRACE_PARENT, "Eyas-Callback": receiver.url, "Eyas-Delay": "1000"},
        )
        stack.request(f"/invocations/{answer.body['id']}", method="DELETE")

        def tellings() -> list[Span]:
            return [one for one in list(spans) if one.name == "process eyas.callback"]

        stack.wait_for(lambda: len(tellings()) == 1, "the span")
        assert not tellings()[0].parent_span_id
        assert tellings()[0].trace_id.hex() != TRACE
    assert _sent(receiver) == [None]
