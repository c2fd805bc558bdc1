"""Spans, as OpenTelemetry's SDK makes and sends them. Imported only if traces are on.

The SDK reads the other `OTEL_*` variables itself: where to send, with which headers, how many to
sample. The provider is not made the global one: that is for handlers to have.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    format_span_id,
    format_trace_id,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from runtime.tracing.terms import AttemptEnd, Tracing

# honcho kills after 5 seconds what has not stopped.
_CLOSE_SECONDS = 2.0
_SERVER_ERROR = 500
_propagator = TraceContextTextMapPropagator()


class Spans(Tracing):
    """Tracing that is on."""

    is_on: ClassVar[bool] = True

    def __init__(self, exporter: SpanExporter, *, close_seconds: float = _CLOSE_SECONDS) -> None:
        """Send spans by `exporter`, in batches and from a thread of their own.

        What comes while 2,048 wait (`OTEL_BSP_MAX_QUEUE_SIZE`) pushes the oldest out. A process
        that is forked begins with none. `close` takes `close_seconds` at most.
        """
        # Without, an exit of the interpreter would wait for a collector for half a minute.
        self._ids = _Ids()
        self._provider = TracerProvider(
            resource=_resource(), shutdown_on_exit=False, id_generator=self._ids
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("eyas")
        self._close_seconds = close_seconds

    @classmethod
    def to_collector(cls) -> "Spans":
        """Send spans where the environment says, by OTLP over HTTP."""
        return cls(OTLPSpanExporter())

    def request(
        self, *, method: str, path: str, scheme: str, client: str, trace_parent: str | None
    ) -> "HTTPSpan":
        """Begin a span by the semantic conventions of HTTP servers.

        https://opentelemetry.io/docs/specs/semconv/http/http-spans/
        """
        span = self._tracer.start_span(
            method,
            context=_context_of(trace_parent),
            kind=SpanKind.SERVER,
            attributes={
                "http.request.method": method,
                "url.path": path,
                "url.scheme": scheme,
                "client.address": client,
            },
        )
        return HTTPSpan(span, method=method)

    def choose(self, function: str, *, trace_parent: str | None) -> str:
        """Choose the ids of a span, and ask the sampler what the span will ask it again."""
        context = _context_of(trace_parent)
        parent = get_current_span(context).get_span_context()
        trace_id = parent.trace_id if parent.is_valid else self._ids.generate_trace_id()
        sampled = self._provider.sampler.should_sample(
            context, trace_id, _name_of(function), SpanKind.CONSUMER
        )
        return _written(
            trace_id,
            self._ids.generate_span_id(),
            is_sampled=sampled.decision is Decision.RECORD_AND_SAMPLE,
        )

    def attempt(self, end: AttemptEnd) -> str:
        """Make the span of an attempt, and below it those of its wait in the queue and its run.

        The first attempt's begins when the invocation was accepted, a later one's when it started.
        https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
        """
        is_first = end.attempt <= 1
        began_at_us = end.started_at_us
        if is_first or began_at_us is None:
            began_at_us = end.accepted_at_us
        with self._ids.chosen(end.chosen):
            whole = self._tracer.start_span(
                _name_of(end.function),
                context=_context_of(end.trace_parent),
                kind=SpanKind.CONSUMER,
                attributes=_attributes_of(end),
                start_time=began_at_us * 1000,
            )
        inside = set_span_in_context(whole)
        if end.started_at_us is not None:
            if is_first:
                queue = _child(self._tracer, "queue", end, inside, at_us=end.accepted_at_us)
                queue.end(end.started_at_us * 1000)
            run = _child(self._tracer, "run", end, inside, at_us=end.started_at_us)
            _fail(run, end)
            run.end(end.ended_at_us * 1000)
        _fail(whole, end)
        whole.end(end.ended_at_us * 1000)
        return format_trace_id(whole.get_span_context().trace_id)

    def close(self) -> None:
        """Send what is left, as far as a collector takes it in time."""
        # The SDK's own limit is 30 s, and not to be changed from outside.
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(self._close_seconds)


class HTTPSpan:
    """The span of a request under way."""

    def __init__(self, span: Span, *, method: str) -> None:
        self._span = span
        self._method = method
        context = span.get_span_context()
        self.trace_id = format_trace_id(context.trace_id)
        self.trace_parent = _written(
            context.trace_id, context.span_id, is_sampled=context.trace_flags.sampled
        )

    def end(self, *, route: str | None, status: int, noted: Mapping[str, str | int]) -> None:
        span = self._span
        if route:
            span.update_name(f"{self._method} {route}")
            span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", status)
        for name in ("function", "invocation_id"):
            if name in noted:
                span.set_attribute(f"eyas.{name}", noted[name])
        if status >= _SERVER_ERROR:
            span.set_attribute("error.type", str(status))
            span.set_status(StatusCode.ERROR)
        span.end()


class _Ids(RandomIdGenerator):
    """Random ids, or those that were chosen before."""

    def __init__(self) -> None:
        self._chosen: SpanContext | None = None

    @contextmanager
    def chosen(self, trace_parent: str) -> Iterator[None]:
        """Give a span these ids; any, if it is empty. Not for several threads at a time."""
        if trace_parent:
            self._chosen = get_current_span(_context_of(trace_parent)).get_span_context()
        try:
            yield
        finally:
            self._chosen = None

    def generate_trace_id(self) -> int:
        return super().generate_trace_id() if self._chosen is None else self._chosen.trace_id

    def generate_span_id(self) -> int:
        return super().generate_span_id() if self._chosen is None else self._chosen.span_id


def _name_of(function: str) -> str:
    return f"process {function}"


def _written(trace_id: int, span_id: int, *, is_sampled: bool) -> str:
    """Return a `traceparent` (W3C Trace Context, section 3.2)."""
    return f"00-{format_trace_id(trace_id)}-{format_span_id(span_id)}-{is_sampled:02x}"


def _resource() -> Resource:
    """Return what the environment says of this service; without a name, it is `eyas`."""
    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "eyas"}))
    return resource


def _context_of(trace_parent: str | None) -> Context:
    """Return where a trace goes on; one that is malformed, or None, begins a new trace."""
    return _propagator.extract({"traceparent": trace_parent} if trace_parent else {}, Context())


def _attributes_of(end: AttemptEnd) -> dict[str, AttributeValue]:
    return {
        "messaging.system": "eyas",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.message.id": end.invocation_id,
        "eyas.function": end.function,
        "eyas.attempt": end.attempt,
        "eyas.status": end.status,
    }


def _child(tracer: Tracer, what: str, end: AttemptEnd, inside: Context, *, at_us: int) -> Span:
    return tracer.start_span(f"{what} {end.function}", context=inside, start_time=at_us * 1000)


def _fail(span: Span, end: AttemptEnd) -> None:
    if end.error_type is not None:
        span.set_attribute("error.type", end.error_type)
        span.set_status(Status(StatusCode.ERROR, end.error_message))
