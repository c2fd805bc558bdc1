"""The paths of events, schedules, the blog, health and this document."""

from typing import Any

from runtime.errors import (
    BatchTooLargeError,
    InvalidPayloadError,
    MalformedEventError,
    MalformedJSONError,
    PayloadTooLargeError,
    ThrottledError,
    UnknownEventFormatError,
    UnknownFunctionError,
    UnknownScheduleError,
)
from runtime.settings import Settings
from runtime.web import problems
from runtime.web.openapi import functions, headers
from runtime.web.openapi.asking import (
    ASKING,
    ASKING_AND_WAITING,
    BROKER,
    PAYLOAD,
    RECORD,
    WAITED,
    accepted,
    event_bodies,
    succeeded,
)
from runtime.web.openapi.operation import Operation, Paths, answer, body, content, parameter, schema
from runtime.web.openapi.problem_details import BAD_REQUEST, of
from runtime.web.openapi.schemas import COUNT, TEXT, members

EVENTS, SCHEDULES, BLOG, HEALTH = "events", "schedules", "blog", "health"


def paths(settings: Settings) -> Paths:
    """Describe what is about no single function and no single invocation."""
    return {
        "/events": {
            "post": _send_events(settings),
            "options": functions.options("optionsOfEvents", tag=EVENTS),
        },
        "/schedules": {"get": _list_schedules()},
        "/schedules/{name}/run": {"post": _run()},
        "/schedules/{name}/pause": {
            "post": _switch("pauseSchedule", "Let a schedule not run by itself"),
        },
        "/schedules/{name}/resume": {
            "post": _switch("resumeSchedule", "Let a schedule run by itself again"),
        },
        "/ping": {"get": _ping()},
        "/create": {"post": _create()},
        "/status/{task_id}": {"get": _status()},
        "/healthz": {"get": _alive()},
        "/readyz": {"get": _ready()},
        "/metrics": {"get": _metrics()},
        "/openapi.json": {"get": _document()},
    }


def _send_events(settings: Settings) -> Operation:
    data: dict[str, Any] = {"description": "In binary mode: the data, of any media type"}
    return Operation(
        "sendEvents",
        "Invoke the functions that are subscribed to CloudEvents",
        description="In all three modes of CloudEvents 1.0 over HTTP. An event that was sent "
        "before, with the same `source` and `id`, is answered with the same ids.",
        tag=EVENTS,
        parameters=[*ASKING, *map(parameter, headers.EVENT)],
        request_body=body(
            event_bodies(settings) | content(data),
            description="An event, several, or the data of one whose attributes are headers",
            is_required=False,
        ),
        answers={
            "202": answer(
                "All are on the broker's disk",
                content(schema("AcceptedEvents")),
                headers=("Idempotent-Replayed",),
            )
        },
        problems=[
            BAD_REQUEST,
            of(MalformedEventError),
            of(MalformedJSONError),
            of(PayloadTooLargeError),
            of(BatchTooLargeError),
            of(UnknownEventFormatError),
            of(InvalidPayloadError),
            of(ThrottledError),
            *BROKER,
        ],
    )


def _list_schedules() -> Operation:
    listed = {"type": "array", "items": schema("Schedule")}
    return Operation(
        "listSchedules",
        "When functions run by themselves",
        tag=SCHEDULES,
        answers={"200": answer("All schedules", content(members({"schedules": listed})))},
        problems=BROKER,
    )


def _run() -> Operation:
    return Operation(
        "runSchedule",
        "Run a function now, with its schedule's payload",
        tag=SCHEDULES,
        parameters=ASKING_AND_WAITING,
        answers={"200": succeeded({}), "202": accepted()},
        problems=[of(UnknownScheduleError), *WAITED],
    )


def _switch(operation_id: str, summary: str) -> Operation:
    return Operation(
        operation_id,
        summary,
        tag=SCHEDULES,
        answers={"200": answer("The schedule as it is now", content(schema("Schedule")))},
        problems=[of(UnknownScheduleError), *BROKER],
    )


def _ping() -> Operation:
    return Operation(
        "ping",
        "Answer pong",
        tag=BLOG,
        answers={"200": answer("Always the same", content({"const": "pong!"}))},
        problems=(),
    )


def _create() -> Operation:
    number = {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": "^-?[0-9]+$"}]}
    created = members(
        {"status": {"const": "success"}, "data": members({"task_id": TEXT})},
    )
    return Operation(
        "createTask",
        "Invoke the function fib, in the blog's form",
        tag=BLOG,
        parameters=[parameter("traceparent")],
        request_body=body(
            content(members({"number": number}, examples=[{"number": "4"}])),
            description="Up to which number",
            is_required=True,
        ),
        answers={"200": answer("It is on the broker's disk", content(created))},
        problems=[of(UnknownFunctionError), *PAYLOAD],
    )


def _status() -> Operation:
    states = ["PENDING", "STARTED", "RETRY", "SUCCESS", "FAILURE", "REVOKED"]
    return Operation(
        "getTaskStatus",
        "Status and result of an invocation, in Celery's words",
        tag=BLOG,
        answers={
            "200": answer(
                "The result after success, a text after a failure, else null",
                content(members({"status": {"enum": states}, "result": {}})),
            )
        },
        problems=RECORD,
    )


def _alive() -> Operation:
    shown = members({"status": {"const": "alive"}})
    return Operation(
        "isAlive",
        "Is this process alive?",
        tag=HEALTH,
        answers={"200": answer("It is", content(shown))},
        problems=(),
    )


def _ready() -> Operation:
    shown = members({"status": {"const": "ready"}, "workers": COUNT})
    return Operation(
        "isReady",
        "Are invocations accepted and run?",
        tag=HEALTH,
        answers={"200": answer("They are, by so many workers", content(shown))},
        problems=[problems.NOT_READY],
    )


def _metrics() -> Operation:
    text = {"schema": TEXT}
    return Operation(
        "getMetrics",
        "What Prometheus collects",
        tag=HEALTH,
        answers={
            "200": answer(
                "In the format that `Accept` asks for",
                {"text/plain": text, "application/openmetrics-text": text},
            )
        },
        problems=(),
    )


def _document() -> Operation:
    kept = ("ETag", "Cache-Control")
    return Operation(
        "getOpenAPI",
        "This document",
        tag=HEALTH,
        parameters=[parameter("If-None-Match")],
        answers={
            "200": answer("OpenAPI 3.1", content({"type": "object"}), headers=kept),
            "304": answer("It is the one that is known already", headers=kept),
        },
        problems=(),
    )
