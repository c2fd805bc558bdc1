"""Tracing: when it is on, and that nothing is imported when it is off."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from runtime.errors import SettingsError
from runtime.tracing import OFF, AttemptEnd, start
from runtime.tracing.spans import Spans
from runtime.tracing.switch import is_wanted

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"

_STARTED_AND_LISTED = """
import sys
import runtime.web.__main__, runtime.worker.__main__
from runtime import entry, tracing
assert entry.start_tracing() is tracing.OFF
# redis-py imports a few modules for its metrics by itself, wherever OpenTelemetry is installed.
foreign = ("opentelemetry.sdk.trace", "opentelemetry.exporter", "google.", "runtime.tracing.spans")
print([name for name in sys.modules if name.startswith(foreign)])
"""
_STARTED_WITHOUT_OPENTELEMETRY = """
import sys
sys.modules["opentelemetry"] = None
from runtime import entry
entry.start_tracing()
"""


@pytest.mark.parametrize(
    "environment",
    [
        ENDPOINT,
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"},
        {"OTEL_TRACES_EXPORTER": "otlp"},
        ENDPOINT | {"OTEL_TRACES_EXPORTER": ""},
        ENDPOINT | {"OTEL_SDK_DISABLED": "false"},
    ],
)
def test_these_variables_turn_it_on(environment: dict[str, str]) -> None:
    assert is_wanted(environment)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_SERVICE_NAME": "shop"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"},
        ENDPOINT | {"OTEL_SDK_DISABLED": "true"},
        ENDPOINT | {"OTEL_SDK_DISABLED": "TRUE"},
    ],
)
def test_without_them_it_is_off(environment: dict[str, str]) -> None:
    assert start(environment) is OFF


def test_what_cannot_be_done_is_refused_all_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        start({"OTEL_TRACES_EXPORTER": "zipkin", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
    assert caught.value.problems == (
        "OTEL_TRACES_EXPORTER: expected otlp or none; got 'zipkin'",
        "OTEL_EXPORTER_OTLP_PROTOCOL: expected http/protobuf; got 'grpc'",
    )


def test_off_imports_nothing() -> None:
    done = _python(_STARTED_AND_LISTED, {})
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_on_and_not_installed_is_refused_in_one_line() -> None:
    done = _python(_STARTED_WITHOUT_OPENTELEMETRY, ENDPOINT)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "OpenTelemetry is not installed" in said
    assert "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http" in said
    assert "Traceback" not in said


def test_a_first_attempt_has_waited_and_run() -> None:
    whole, queue, run = _spans_of(_end(attempt=1)).values()
    assert _times_us(whole) == (1000, 9000)
    assert _times_us(queue) == (1000, 4000)
    assert _times_us(run) == (4000, 9000)
    assert whole.kind is SpanKind.CONSUMER
    assert whole.parent is not None
    assert f"{whole.parent.trace_id:032x}-{whole.parent.span_id:016x}" == f"{TRACE}-{CALLER}"
    assert queue.parent == run.parent == whole.get_span_context()
    assert whole.status.status_code is StatusCode.UNSET


def test_a_later_attempt_has_not_waited_since_it_was_accepted() -> None:
    spans = _spans_of(_end(attempt=2))
    assert list(spans) == ["process fib", "run fib"]
    assert _times_us(spans["process fib"]) == (4000, 9000)


def test_an_invocation_that_was_not_run_has_one_span() -> None:
    spans = _spans_of(_end(attempt=0, started_at_us=None, error_type="Cancelled"))
    assert list(spans) == ["process fib"]
    assert _times_us(spans["process fib"]) == (1000, 9000)


def test_a_failure_is_on_the_attempt_and_its_run() -> None:
    spans = _spans_of(_end(attempt=1, error_type="ValueError"))
    for name in ("process fib", "run fib"):
        assert spans[name].status.status_code is StatusCode.ERROR
        assert (spans[name].attributes or {})["error.type"] == "ValueError"
    assert spans["queue fib"].status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("trace_parent", [None, "00-x", "00-" + "0" * 32 + f"-{CALLER}-01"])
def test_what_names_no_trace_begins_one(trace_parent: str | None) -> None:
    whole = _spans_of(_end(attempt=1, trace_parent=trace_parent))["process fib"]
    assert whole.parent is None


@pytest.mark.parametrize(
    "trace_parent", [f"00-{TRACE}-{CALLER}-01", f"00-{TRACE}-{CALLER}-00", "00-x", "", None]
)
def test_an_attempt_has_the_span_that_was_chosen_for_it(trace_parent: str | None) -> None:
    exporter = InMemorySpanExporter()
    tracing = Spans(exporter)
    chosen = tracing.choose("fib", trace_parent=trace_parent)
    for each in (chosen, ""):
        tracing.attempt(_end(attempt=1, trace_parent=trace_parent, chosen=each))
    tracing.close()

    version, trace_id, span_id, flags = chosen.split("-")
    assert (version, len(trace_id), len(span_id)) == ("00", 32, 16)
    made = [_ids(one) for one in exporter.get_finished_spans()]
    if trace_parent is not None and trace_parent.endswith("-00"):
        assert (trace_id, flags, made) == (TRACE, "00", [])
        return
    assert flags == "01"
    assert made.count((trace_id, span_id)) == 1
    assert len(set(made)) == len(made) == 6
    assert {one for one, _ in made[:3]} == {trace_id}
    assert (trace_id == TRACE) is (trace_parent is not None and len(trace_parent) > 4)


def test_what_is_not_to_be_sampled_is_chosen_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    tracing = Spans(InMemorySpanExporter())
    try:
        assert tracing.choose("fib", trace_parent=None).endswith("-00")
        assert tracing.choose("fib", trace_parent=f"00-{TRACE}-{CALLER}-01").endswith("-01")
    finally:
        tracing.close()


class _Stuck(SpanExporter):
    """A collector that takes the connection, and says nothing."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.released = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002  the SDK's
        self.asked.set()
        self.released.wait()
        return SpanExportResult.FAILURE


def test_a_collector_that_hangs_does_not_hold_up_a_stop() -> None:
    exporter = _Stuck()
    tracing = Spans(exporter, close_seconds=0.05)
    tracing.attempt(_end(attempt=1))
    began = time.monotonic()
    try:
        tracing.close()
        assert time.monotonic() - began < 10  # the SDK itself would wait for 30 s
        assert exporter.asked.wait(10)
    finally:
        exporter.released.set()


def _python(program: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
    return subprocess.run(
        [sys.executable, "-c", program],
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def _end(
    *,
    attempt: int,
    started_at_us: int | None = 4000,
    error_type: str | None = None,
    trace_parent: str | None = f"00-{TRACE}-{CALLER}-01",
    chosen: str = "",
) -> AttemptEnd:
    return AttemptEnd(
        invocation_id="one",
        function="fib",
        attempt=attempt,
        status="failed" if error_type else "succeeded",
        accepted_at_us=1000,
        started_at_us=started_at_us,
        ended_at_us=9000,
        trace_parent=trace_parent,
        error_type=error_type,
        error_message="",
        chosen=chosen,
    )


def _spans_of(end: AttemptEnd) -> dict[str, ReadableSpan]:
    """Return the spans by their names: the attempt's, its queue's if there is one, its run's."""
    exporter = InMemorySpanExporter()
    tracing = Spans(exporter)
    trace_id = tracing.attempt(end)
    tracing.close()
    finished = exporter.get_finished_spans()
    assert {f"{one.get_span_context().trace_id:032x}" for one in finished} == {trace_id}
    return {one.name: one for one in sorted(finished, key=lambda one: one.name)}


def _times_us(span: ReadableSpan) -> tuple[int, int]:
    assert span.start_time is not None
    assert span.end_time is not None
    return span.start_time // 1000, span.end_time // 1000


def _ids(span: ReadableSpan) -> tuple[str, str]:
    context = span.get_span_context()
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"
