"""The JSON Schemas (draft 2020-12) of what all functions have in common.

Examples are answers of a running stack. A function's own schemas are in
`runtime.web.openapi.functions`.
"""

from collections.abc import Mapping
from typing import Any

from runtime.history import What
from runtime.invocation import Status
from runtime.policy import DeadLetterReason

TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}
SECONDS = {"type": "number", "minimum": 0}
_TIME = {"type": "string", "format": "date-time"}
_NO_LIMIT = {"type": ["number", "null"]}
_TRIGGERS = ["http", "event", "schedule", "celery", "callback"]
_ID = "bb0f0beb-e363-4cfc-afe9-0f05f838b2d3"


def members(
    always: Mapping[str, Any], sometimes: Mapping[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """Return the schema of an object with members that are always there, and others."""
    return {
        "type": "object",
        "properties": {**always, **(sometimes or {})},
        "required": list(always),
        **more,
    }


def schemas() -> dict[str, Any]:
    """Return them by their names among the components."""
    return {
        "Status": {"type": "string", "enum": list(Status)},
        "Accepted": _ACCEPTED,
        "AcceptedBatch": _ACCEPTED_BATCH,
        "AcceptedEvents": _ACCEPTED_EVENTS,
        "FunctionError": _FUNCTION_ERROR,
        "Happening": _HAPPENING,
        "Record": members(_RECORD, _RECORD_SOMETIMES, examples=[_RECORD_EXAMPLE]),
        "DeadLetter": members(
            {"reason": {"enum": list(DeadLetterReason)}, **_RECORD},
            {k: v for k, v in _RECORD_SOMETIMES.items() if k != "dead_letter"},
        ),
        "Function": members(_FUNCTION),
        "Counts": members(dict.fromkeys(("accepted", *Status), COUNT)),
        "FailedModule": members(dict.fromkeys(("module", "path", "error", "traceback"), TEXT)),
        "Schedule": _SCHEDULE,
        "Clock": members(_CLOCK, examples=[_CLOCK_EXAMPLE]),
        "CloudEvent": _CLOUD_EVENT,
    }


def or_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of something that may not be known, or not be there."""
    return {"anyOf": [dict(schema), {"type": "null"}]}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


_ACCEPTED = members(
    {"id": TEXT, "function": TEXT, "status": _ref("Status")},
    {"replay_of": TEXT | {"description": "the id of the invocation that it repeats"}},
    description="An invocation that is on the broker's disk, and runs when its turn has come",
    examples=[{"id": _ID, "function": "fib", "status": "queued"}],
)
_ACCEPTED_BATCH = members(
    {"accepted": COUNT, "ids": {"type": "array", "items": TEXT}},
    description="Invocations in the order of their payloads",
    examples=[{"accepted": 1, "ids": [_ID]}],
)
_ACCEPTED_EVENTS = members(
    {
        "invocations": {
            "type": "array",
            "items": members({"event_id": TEXT, "function": TEXT, "id": TEXT}),
        }
    },
    description="Invocations in the order of the events; none if nobody is subscribed",
    examples=[{"invocations": [{"event_id": "A-1", "function": "audit", "id": _ID}]}],
)
_FUNCTION_ERROR = members(
    {"type": TEXT, "message": TEXT},
    {"stack_trace": {"type": "array", "items": TEXT}},
    description="What a handler did wrong: an exception's class and text, and the user's frames",
)
_HAPPENING = members(
    {"at": _TIME, "what": {"enum": list(What)}},
    {
        "attempt": COUNT,
        "worker": TEXT,
        "started_at": _TIME,
        "due_at": _TIME,
        "error": _ref("FunctionError"),
        "reason": {"enum": list(DeadLetterReason)},
    },
    description="Something that has happened to an invocation on its way",
)
_PROGRESS = members({"done": {"type": "number"}}, {"total": _NO_LIMIT, "message": or_null(TEXT)})
_RECORD = {
    "id": TEXT,
    "function": TEXT,
    "status": _ref("Status"),
    "trigger": {"type": "string", "examples": _TRIGGERS},
    "payload": {},
    "attempt": COUNT,
    "max_attempts": COUNT,
    "progress": or_null(_PROGRESS),
    "replay_of": or_null(TEXT),
    "accepted_at": _TIME,
    "due_at": or_null(_TIME),
    "started_at": or_null(_TIME),
    "finished_at": or_null(_TIME),
    "queue_wait_ms": _NO_LIMIT,
    "run_ms": _NO_LIMIT,
}
_RECORD_SOMETIMES = {
    "result": {"description": "only after success"},
    "error": _ref("FunctionError"),
    "dead_letter": {"enum": list(DeadLetterReason)},
    "request_id": TEXT | {"description": "of the request that had it accepted"},
    "delay_seconds": SECONDS,
    "history": {"type": "array", "items": _ref("Happening")},
}
_RECORD_EXAMPLE = {
    "id": _ID,
    "function": "fib",
    "status": "succeeded",
    "trigger": "http",
    "payload": {"number": 5},
    "result": [0, 1, 1, 2, 3, 5],
    "attempt": 1,
    "max_attempts": 3,
    "progress": None,
    "replay_of": None,
    "accepted_at": "2026-11-22T20:11:27.423182Z",
    "due_at": None,
    "started_at": "2026-11-22T20:11:27.436360Z",
    "finished_at": "2026-11-22T20:11:27.439961Z",
    "queue_wait_ms": 13.178,
    "run_ms": 3.601,
}
_FUNCTION = {
    "name": TEXT,
    "description": TEXT,
    "triggers": {"type": "array", "items": TEXT},
    "on": {"type": "array", "items": TEXT},
    "timeout": SECONDS,
    "soft_timeout": _NO_LIMIT,
    "retries": COUNT,
    "backoff": SECONDS,
    "backoff_max": SECONDS,
    "max_age": _NO_LIMIT,
    "concurrency": _NO_LIMIT,
    "threads": _NO_LIMIT,
    "schedule": or_null(TEXT),
    "every": _NO_LIMIT,
    "timezone": or_null(TEXT),
    "missed": or_null(TEXT),
    "module": TEXT,
}
_SCHEDULE = members(
    {
        "name": TEXT,
        "function": TEXT,
        "timezone": or_null(TEXT),
        "missed": {"enum": ["latest", "skip"]},
        "paused": {"type": "boolean"},
        "next_run_at": or_null(_TIME),
        "last_run_at": or_null(_TIME),
        "last_invocation_id": or_null(TEXT),
    },
    {"schedule": TEXT | {"description": "a cron expression"}, "every": SECONDS},
    oneOf=[{"required": ["schedule"]}, {"required": ["every"]}],
)
_CLOCK = {"now": _TIME, "ahead_seconds": SECONDS, "scale": {"type": "number"}}
_CLOCK_EXAMPLE = {"now": "2026-11-23T05:22:10.123456Z", "ahead_seconds": 120.0, "scale": 1.0}
_EXTENSION = {"type": ["string", "integer", "boolean"], "minimum": -(2**31), "maximum": 2**31 - 1}
_NOT_EMPTY = {"type": "string", "minLength": 1}
_CLOUD_EVENT = members(
    {"specversion": {"const": "1.0"}, "id": _NOT_EMPTY, "source": _NOT_EMPTY, "type": _NOT_EMPTY},
    {
        "subject": _NOT_EMPTY,
        "time": _TIME,
        "datacontenttype": _NOT_EMPTY,
        "dataschema": _NOT_EMPTY,
        "data": {},
        "data_base64": {"type": "string", "contentEncoding": "base64"},
    },
    additionalProperties=_EXTENSION,
    propertyNames={"pattern": "^([a-z0-9]+|data_base64)$"},
    **{"not": {"required": ["data", "data_base64"]}},
    description="An event in the JSON format of CloudEvents 1.0",
    examples=[
        {
            "specversion": "1.0",
            "id": "A-2",
            "source": "/shop/1",
            "type": "com.example.order.created",
            "data": {"order": "A-2", "total_cents": 990},
        }
    ],
)
