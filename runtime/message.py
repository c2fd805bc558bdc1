"""The queue's wire form of an invocation: a Celery protocol-2 message in kombu's Redis envelope.

https://docs.celeryq.dev/en/stable/internals/protocol.html#version-2. A stock Celery worker could
run it; a test holds it, field by field, against what Celery itself publishes.

What the messages of a function have in common is made once, as a template. A message of ours is
also known by its beginning, which is always

    {"headers":{"eyas_trigger":"<trigger>","task":"<function>","id":"<id>",

without a blank, and after `{"deliveries":N,` instead of `{` if it was delivered before. Triggers,
names and ids have no characters that JSON would escape. The other members come in any order.
"""

import functools
import os
import re
import socket
from datetime import UTC, datetime

import msgspec

from runtime import json_text
from runtime.invocation import Invocation
from runtime.payload import PayloadType

QUEUE = "celery"
"""The list that a stock Celery producer would use."""

QUEUES = (QUEUE, *(f"{QUEUE}\x06\x16{priority}" for priority in (3, 6, 9)))
"""The same, and those where kombu's Redis transport puts less urgent messages."""

TRIGGER_HEADER = "eyas_trigger"
"""The header that only messages of ours have."""

OURS = re.compile(
    rb'\{(?:"deliveries":(?P<deliveries>\d+),)?'
    rb'"headers":\{"eyas_trigger":"(?P<trigger>[a-z_]+)",'
    rb'"task":"(?P<task>[A-Za-z_][A-Za-z0-9_.-]*)","id":"(?P<id>[!#-\[\]-~]{1,200})",'
)
"""Matches the beginning of a message that web or the scheduler wrote, and of no other."""

_REPR_CHARACTERS = 200
# Producers write it once among the headers. A payload is text in text: its quotes are escaped.
_ID_HEADER = re.compile(rb'"id"\s*:\s*"([!#-~]{1,200})"')
_ORIGIN = f"eyas{os.getpid()}@{socket.gethostname()}"
_EMBEDDED = '{"callbacks":null,"errbacks":null,"chain":null,"chord":null}'
# What differs from one invocation to the next: a part of a text, or a JSON value in place of one.
_TEXT = "%b"
_VALUE = "%b value"
_encode_text = msgspec.json.Encoder().encode


def encode(invocation: Invocation, payload_type: PayloadType | None) -> bytes:
    """Return the message to put into the queue.

    Without a `payload_type`, one whose payload is only in the record, where our workers read it.
    """
    kwargs = "{}"
    if payload_type is not None:
        kwargs = invocation.payload.decode() or kwargs
        if payload_type.event is not None:
            kwargs = f'{{"{payload_type.event.name}":{kwargs}}}'
    template = _template(invocation.function, invocation.trigger, invocation.timeout_seconds)
    invocation_id = invocation.id.encode()
    body = shown = _encode_text(kwargs)[1:-1]
    if len(kwargs) > _REPR_CHARACTERS:
        shown = _encode_text(kwargs[:_REPR_CHARACTERS] + "...")[1:-1]
    return template % (
        invocation_id,
        invocation_id,
        shown,
        _encode_text(invocation.request_id),
        _encode_text(invocation.trace_parent),
        invocation_id,
        invocation_id,
        body,
    )


@functools.lru_cache(maxsize=1000)
def _template(function: str, trigger: str, timeout_seconds: float) -> bytes:
    """Return the messages of a function, with `%b` where they differ, in the order of `encode`."""
    template = json_text.encode(
        {
            "headers": {
                # Ours: there is a record. A stock producer's message gets it when it is claimed.
                TRIGGER_HEADER: trigger,
                "task": function,
                "id": _TEXT,
                "lang": "py",
                "shadow": None,
                "eta": None,
                "expires": None,
                "group": None,
                "group_index": None,
                "retries": 0,
                "timelimit": [timeout_seconds or None, None],
                "root_id": _TEXT,
                "parent_id": None,
                "argsrepr": "()",
                "kwargsrepr": _TEXT,
                "origin": _ORIGIN.replace("%", "%%"),
                "ignore_result": None,
                "replaced_task_nesting": 0,
                "stamped_headers": None,
                "stamps": {},
                "request_id": _VALUE,
                "traceparent": _VALUE,
            },
            "properties": {
                "correlation_id": _TEXT,
                "reply_to": "",
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": QUEUE},
                "priority": 0,
                # A message is in one place at a time, so its id is as good as any.
                "delivery_tag": _TEXT,
            },
            "content-type": "application/json",
            "content-encoding": "utf-8",
            # Plain text instead of kombu's default base64: half the work and a third less memory.
            "body": f"[[],{_TEXT},{_EMBEDDED}]",
        }
    )
    return template.replace(f'"{_VALUE}"'.encode(), b"%b")


def id_in(message: bytes) -> str | None:
    """Return the invocation id that a message carries; None if it carries none."""
    found = _ID_HEADER.search(message)
    return found[1].decode() if found else None


def succeeded_result(invocation_id: str, result: bytes) -> bytes:
    """Return what `AsyncResult` reads of an invocation that succeeded; `result` is JSON text."""
    return (
        b'{"status":"SUCCESS","result":%b,"traceback":null,"children":[],"date_done":"%b",'
        b'"task_id":"%b"}'
        % (result, datetime.now(UTC).isoformat().encode(), invocation_id.encode())
    )


def failed_result(invocation_id: str, *, state: str, error_type: str, error_message: str) -> bytes:
    """Return what `AsyncResult` reads of an invocation that ended without its handler's doing.

    `state` is Celery's: `FAILURE` or `REVOKED`. `error_type` is a class of `celery.exceptions`.
    """
    return json_text.encode(
        {
            "status": state,
            "result": {
                "exc_type": error_type,
                "exc_message": [error_message],
                "exc_module": "celery.exceptions",
            },
            "traceback": None,
            "children": [],
            "task_id": invocation_id,
        }
    )


def revoked_result(invocation_id: str, reason: str) -> bytes:
    """Return what `AsyncResult` reads of an invocation that was cancelled, or is too old to run."""
    return failed_result(
        invocation_id, state="REVOKED", error_type="TaskRevokedError", error_message=reason
    )
