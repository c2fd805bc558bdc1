"""A message as it comes from a queue, checked before Celery sees it.

Whoever reaches the broker can put anything into the queue. kombu and Celery take some messages
whose parts are missing or wrong for a lost connection, and exit at others; either way the message
comes back, and nothing else on the queue is run.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kombu import compression
from kombu.utils.encoding import ensure_bytes

from runtime.errors import EyasError
from runtime.invocation import is_id
from runtime.message import QUEUE, TRIGGER_HEADER
from runtime.worker import serializer

_CONTENT_TYPE = "application/json"
_ENCODINGS = frozenset({"utf-8", "utf8", "ascii", "us-ascii"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,199}")
_MOST_RETRIES = 2**31


class MalformedMessageError(EyasError):
    """A message is no Celery protocol-2 message that could be run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A sound message. `raw` is what kombu is given; the rest is what we want to know of it.

    `is_ours` says that web wrote it, and that there is a record; `is_plain` that Celery has nothing
    to do after it, or around it. `due_at` is the producer's `eta`, and `trace_parent` a header that
    OpenTelemetry's instrumentation of Celery adds, if it is text.
    """

    raw: dict[str, Any]
    id: str
    task: str
    is_ours: bool
    is_plain: bool
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    due_at: datetime | None
    trace_parent: str | None


def read(message: bytes, *, tag: str, queue: str) -> Envelope:
    """Read a message that was claimed. Raises `MalformedMessageError`.

    Whatever it says itself, its delivery tag is the claim's, and its routing key the queue.
    """
    raw = _object(_json(message, "the message"), "the message")
    headers = _object(raw.get("headers"), "headers")
    task, invocation_id = headers.get("task"), headers.get("id")
    if not isinstance(task, str) or not _NAME.fullmatch(task):
        raise MalformedMessageError("headers.task is no name")
    if not isinstance(invocation_id, str) or not is_id(invocation_id):
        raise MalformedMessageError(
            "headers.id is no id: 1 to 200 visible ASCII characters, no quote or backslash"
        )
    if raw.get("content-type") != _CONTENT_TYPE:
        raise MalformedMessageError(f"content-type is not {_CONTENT_TYPE}")
    if str(raw.setdefault("content-encoding", "utf-8")).lower() not in _ENCODINGS:
        raise MalformedMessageError("content-encoding is not utf-8")
    properties = raw.get("properties")
    raw["properties"] = properties = dict(properties) if isinstance(properties, dict) else {}
    _check_headers(headers)
    args, kwargs, embedded = _body(raw, headers, properties)
    properties["delivery_tag"] = tag
    info = properties.get("delivery_info")
    trace_parent = headers.get("traceparent")
    properties["delivery_info"] = (info if isinstance(info, dict) else {}) | {
        "exchange": "",
        "routing_key": queue or QUEUE,
    }
    return Envelope(
        raw=raw,
        id=invocation_id,
        task=task,
        is_ours=isinstance(headers.get(TRIGGER_HEADER), str),
        is_plain=_is_plain(headers, embedded),
        args=args,
        kwargs=kwargs,
        due_at=_time(headers, "eta"),
        trace_parent=trace_parent if isinstance(trace_parent, str) else None,
    )


def _json(text: bytes | str, what: str) -> Any:
    try:
        return serializer.loads(text)
    except (ValueError, RecursionError, EyasError) as error:
        raise MalformedMessageError(f"{what} is not JSON that can be read: {error}") from error


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedMessageError(f"{what}: expected an object")
    return value


def _body(
    raw: dict[str, Any], headers: dict[str, Any], properties: dict[str, Any]
) -> tuple[Sequence[Any], Mapping[str, Any], Mapping[str, Any]]:
    parts = _json(_body_text(raw, headers, properties), "body")
    if not isinstance(parts, list) or len(parts) != 3:  # noqa: PLR2004  args, kwargs, embedded
        raise MalformedMessageError("body: expected an array of arguments, names and options")
    args, kwargs, embedded = parts
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise MalformedMessageError("body: expected an array of arguments, and an object of names")
    if not isinstance(embedded, dict | None):
        raise MalformedMessageError("body: expected an object of options")
    for name, value in (embedded or {}).items():
        if name in {"callbacks", "errbacks", "chain"} and not _is_list_of(value, dict):
            raise MalformedMessageError(f"body: {name} is no list of tasks")
        if name == "chord" and not isinstance(value, dict | None):
            raise MalformedMessageError("body: chord is no task")
    return args, kwargs, embedded or {}


def _is_plain(headers: Mapping[str, Any], embedded: Mapping[str, Any]) -> bool:
    limits = headers.get("timelimit") or ()
    return (
        not any(embedded.values())
        and not any(headers.get(name) for name in ("group", "parent_id", "expires", "retries"))
        and not any(limit is not None for limit in limits)
    )


def _body_text(
    raw: dict[str, Any], headers: dict[str, Any], properties: dict[str, Any]
) -> bytes | str:
    body: Any = raw.get("body")
    if not isinstance(body, str):
        raise MalformedMessageError("body: expected text")
    encoding = properties.pop("body_encoding", None)
    if encoding == "base64":
        properties["body_encoding"] = encoding
        try:
            body = base64.b64decode(body)
        except (binascii.Error, ValueError) as error:
            raise MalformedMessageError(f"body is not base64: {error}") from error
    elif encoding not in (None, "utf-8"):
        raise MalformedMessageError("properties.body_encoding: expected base64 or utf-8")
    compressed_by = headers.get("compression")
    if compressed_by is None:
        return body if isinstance(body, bytes) else str(body)
    try:
        return bytes(compression.decompress(ensure_bytes(body), compressed_by))
    # A decoder may raise anything, and a name may be of no decoder.
    except Exception as error:
        raise MalformedMessageError(f"body cannot be decompressed: {error!r}") from error


def _check_headers(headers: dict[str, Any]) -> None:
    limits = headers.get("timelimit")
    if limits is not None and not (
        isinstance(limits, list)
        and len(limits) == 2  # noqa: PLR2004  hard, soft
        and all(one is None or _is_seconds(one) for one in limits)
    ):
        raise MalformedMessageError("headers.timelimit: expected two numbers of seconds")
    retries = headers.get("retries")
    if not (retries is None or (isinstance(retries, int) and 0 <= retries < _MOST_RETRIES)):
        raise MalformedMessageError("headers.retries: expected a whole number")
    for name in ("root_id", "parent_id", "group", "shadow", "argsrepr", "kwargsrepr", "origin"):
        if not isinstance(headers.get(name), str | None):
            raise MalformedMessageError(f"headers.{name}: expected text")
    if not isinstance(headers.get("stamps"), dict | None):
        raise MalformedMessageError("headers.stamps: expected an object")
    if not _is_list_of(headers.get("stamped_headers"), str):
        raise MalformedMessageError("headers.stamped_headers: expected a list of names")
    _time(headers, "expires")


def _time(headers: dict[str, Any], name: str) -> datetime | None:
    text = headers.get(name)
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        at.timestamp()
    except (TypeError, ValueError, OverflowError) as error:
        raise MalformedMessageError(f"headers.{name}: expected a time (ISO 8601)") from error
    return at


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e9  # noqa: PLR2004


def _is_list_of(value: Any, kind: type) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(v, kind) for v in value))
