"""CloudEvents 1.0, read from HTTP requests in all three content modes.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md, and beside it
`bindings/http-protocol-binding.md` (below: HTTP) and `formats/json-format.md` (below: JSON).
"""

import base64
import binascii
import datetime
import enum
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from runtime import json_text
from runtime.errors import MalformedEventError, MalformedJSONError, UnknownEventFormatError

SPECVERSION = "1.0"
SPECVERSION_HEADER = b"ce-specversion"

_MEDIA_TYPE = "application/cloudevents"
_BATCH_MEDIA_TYPE = "application/cloudevents-batch"
_PREFIX = b"ce-"
_REQUIRED = ("specversion", "id", "source", "type")
_TEXTS = frozenset({*_REQUIRED, "datacontenttype", "dataschema", "subject", "time"})
# What curl sends unless told otherwise: it says no more than no `Content-Type` at all.
_FORM_MEDIA_TYPE = "application/x-www-form-urlencoded"
_UNTYPED = frozenset({"", _FORM_MEDIA_TYPE})

_NAME = re.compile(r"[a-z0-9]+")
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_CHARSET = re.compile(r';\s*charset\s*=\s*"?([^\s;"]+)', re.IGNORECASE)
_TIMESTAMP = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)[Tt](?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)"
    r"(?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
_PLANES = range(0x11)
_NONCHARACTERS = "".join(chr(plane << 16 | end) for plane in _PLANES for end in (0xFFFE, 0xFFFF))
# Control characters, halves of surrogate pairs, and noncharacters ("Type System", String).
_DISALLOWED = re.compile(f"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{_NONCHARACTERS}]")
_LARGEST_INTEGER = 2**31

_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_any = msgspec.json.Decoder(msgspec.Raw).decode


class Mode(enum.Enum):
    """How a request carries events (HTTP, section 3)."""

    BINARY = "binary"
    STRUCTURED = "structured"
    BATCHED = "batched"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEvent:
    """One event. `data` is JSON text, or None if it is in `data_base64`, or if there is none."""

    attributes: Mapping[str, str | int | bool]
    data: bytes | None = None
    data_base64: str | None = None

    @property
    def id(self) -> str:
        return str(self.attributes["id"])

    @property
    def source(self) -> str:
        return str(self.attributes["source"])

    @property
    def type(self) -> str:
        return str(self.attributes["type"])

    @property
    def key(self) -> str:
        """The same for duplicates, which have `source` and `id` in common.

        It is no key that a caller could have chosen as an `Idempotency-Key`: those are ASCII.
        """
        # No attribute has a control character in it.
        name = f"{self.source}\0{self.id}"
        return f"event\u00b7{hashlib.sha256(name.encode()).hexdigest()}"

    def to_json(self) -> bytes:
        """Return the event in the JSON format, with its data to the last digit as it came."""
        members: dict[str, Any] = dict(self.attributes)
        if self.data is not None:
            members["data"] = msgspec.Raw(self.data)
        elif self.data_base64 is not None:
            members["data_base64"] = self.data_base64
        return msgspec.json.encode(members)


def mode_of(content_type: str, *, has_specversion: bool) -> Mode | None:
    """Return how a request carries events; None if it carries none.

    `has_specversion` says whether there is a header `ce-specversion`. Raises
    `UnknownEventFormatError` for an event format other than JSON.
    """
    whole = content_type.strip().lower()
    if not whole.startswith(_MEDIA_TYPE):
        return Mode.BINARY if has_specversion else None
    media_type = _media_type(content_type)
    if media_type == f"{_BATCH_MEDIA_TYPE}+json":
        return Mode.BATCHED
    if media_type == f"{_MEDIA_TYPE}+json":
        return Mode.STRUCTURED
    raise UnknownEventFormatError(media_type)


def from_headers(headers: Iterable[tuple[bytes, bytes]], body: bytes) -> CloudEvent:
    """Read an event in binary mode: attributes are headers, data is the body (HTTP, section 3.1).

    Data that is said to be JSON has to be. Without a `Content-Type` that says anything, data is
    JSON if it can be read as such. Raises `MalformedEventError`, `MalformedJSONError`.
    """
    attributes: dict[str, str | int | bool] = {}
    content_type = ""
    for raw_name, value in headers:
        name = raw_name.lower()
        if name == b"content-type":
            content_type = value.decode("latin-1").strip()
        elif name.startswith(_PREFIX):
            attribute = name[len(_PREFIX) :].decode("latin-1")
            if attribute in {"data", "datacontenttype"}:
                raise MalformedEventError(
                    f"a header ce-{attribute} is not allowed: in binary mode the body is the data, "
                    "and Content-Type says what it is"
                )
            if attribute in attributes:
                raise MalformedEventError(f"the header ce-{attribute} is there twice")
            attributes[attribute] = header_value(attribute, value)
    data, data_base64, is_typed = _read_data(content_type, body)
    if is_typed:
        attributes["datacontenttype"] = content_type
    _check(attributes)
    return CloudEvent(attributes=attributes, data=data, data_base64=data_base64)


def from_json(body: bytes) -> CloudEvent:
    """Read an event in the JSON format (JSON, section 3).

    Raises `MalformedEventError`, `MalformedJSONError`.
    """
    members = _members(body)
    data, encoded = members.pop("data", None), members.pop("data_base64", None)
    attributes: dict[str, str | int | bool] = {}
    for name, raw in members.items():
        value = _decode_attribute(bytes(raw))
        if value is not None:  # the same as leaving it out (section 2.2)
            attributes[name] = value
    _check(attributes)
    data_base64 = None if encoded is None else json_text.decode(bytes(encoded))
    if data_base64 is None:
        return CloudEvent(attributes=attributes, data=None if data is None else bytes(data))
    if data is not None:
        raise MalformedEventError("data and data_base64 exclude each other")
    decoded = _from_base64(data_base64)
    if _is_json(_media_type(str(attributes.get("datacontenttype", "")))):
        return CloudEvent(attributes=attributes, data=_checked_json(decoded))
    return CloudEvent(attributes=attributes, data_base64=data_base64)


def members_of_batch(body: bytes) -> list[bytes]:
    """Return the events of a batch, each in the JSON format (JSON, section 4), not yet read.

    Raises `MalformedEventError`, `MalformedJSONError`.
    """
    try:
        body.decode()
        return [bytes(member) for member in _decode_array(body)]
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        value = json_text.decode(body)  # says where it is no JSON
        kind = "null" if value is None else type(value).__name__
        raise MalformedEventError(f"a batch is a JSON array of events; got {kind}") from None


def header_value(attribute: str, value: bytes) -> str:
    """Decode the value of a header (HTTP, section 3.1.3.2): quotes first, then percents, once.

    Raises `MalformedEventError` for what is then no UTF-8.
    """
    value = value.strip()
    if quoted := _QUOTED.fullmatch(value):
        value = re.sub(rb"\\(.)", rb"\1", quoted[1], flags=re.DOTALL)
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        raise MalformedEventError(f"the header ce-{attribute} is not UTF-8, decoded") from None


def _members(body: bytes) -> dict[str, msgspec.Raw]:
    if not body:
        raise MalformedEventError("the body is empty; expected an event as a JSON object")
    try:
        body.decode()  # what is not looked at is not checked either
        return _decode_object(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        value = json_text.decode(body)  # says where it is no JSON
        kind = "null" if value is None else type(value).__name__
        raise MalformedEventError(f"an event is a JSON object; got {kind}") from None


def _decode_attribute(raw: bytes) -> Any:
    try:
        return _decode_text(raw)
    except (msgspec.MsgspecError, UnicodeError):
        return json_text.decode(raw)


def _check(attributes: Mapping[str, Any]) -> None:
    """Raise `MalformedEventError` for what the specification does not allow as attributes."""
    missing = [name for name in _REQUIRED if name not in attributes]
    if missing:
        raise MalformedEventError(f"required, but missing: {', '.join(missing)}")
    for name, value in attributes.items():
        if name not in _TEXTS and not _NAME.fullmatch(name):
            raise MalformedEventError(
                f"{name!r} is no attribute's name: those have lower-case letters and digits only"
            )
        if problem := _problem(name, value):
            raise MalformedEventError(f"{name}: {problem}")
    if attributes["specversion"] != SPECVERSION:
        raise MalformedEventError(
            f"specversion: expected {SPECVERSION}; got {attributes['specversion']!r}"
        )


def _problem(name: str, value: Any) -> str | None:
    """Return what is wrong with an attribute's value."""
    if name in _TEXTS and (not isinstance(value, str) or not value):
        return "expected a text that is not empty"
    if isinstance(value, str):
        # Most are plain, which is told many times as fast.
        is_plain = value.isascii() and value.isprintable()
        if not is_plain and (found := _DISALLOWED.search(value)):
            return f"the character U+{ord(found[0]):04X} is not allowed"
        if name == "time" and not _is_timestamp(value):
            return f"expected RFC 3339, such as 2026-01-31T12:30:00Z; got {value!r}"
    elif not isinstance(value, int):  # a bool is an int
        return f"expected a text, an integer or a boolean; got {type(value).__name__}"
    elif not -_LARGEST_INTEGER <= value < _LARGEST_INTEGER:
        return "an integer has 32 bits"
    return None


def _is_timestamp(text: str) -> bool:
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        return False
    try:
        datetime.date(int(found["year"]), int(found["month"]), int(found["day"]))
    except ValueError:
        return False
    return True


def _read_data(content_type: str, body: bytes) -> tuple[bytes | None, str | None, bool]:
    """Return data as JSON text or as base64, and whether `Content-Type` says what it is."""
    media_type = _media_type(content_type)
    is_typed = bool(media_type)
    if not body:
        return None, None, media_type not in _UNTYPED
    if _is_json(media_type):
        return _checked_json(body), None, is_typed
    if media_type in _UNTYPED:
        try:
            return _checked_json(body), None, False
        except (MalformedJSONError, MalformedEventError):
            pass  # then it is what it is
    if _is_text(content_type):
        try:
            return msgspec.json.encode(body.decode()), None, is_typed
        except UnicodeDecodeError:
            pass  # then it is not what it is said to be
    return None, base64.b64encode(body).decode(), is_typed


def _checked_json(data: bytes) -> bytes:
    try:
        data.decode()
        _decode_any(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        json_text.decode(data)  # says where it is no JSON
        raise MalformedEventError("the data is nested too deeply") from None
    return data


def _from_base64(text: Any) -> bytes:
    try:
        if isinstance(text, str):
            return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise MalformedEventError("data_base64: expected a text in base64")


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _is_json(media_type: str) -> bool:
    subtype = media_type.partition("/")[2]
    return subtype == "json" or subtype.endswith("+json")


def _is_text(content_type: str) -> bool:
    """Tell whether data of this type is a text in UTF-8."""
    kind, _, subtype = (media_type := _media_type(content_type)).partition("/")
    charset = _CHARSET.search(content_type)
    return (
        kind == "text"
        or subtype == "xml"
        or subtype.endswith("+xml")
        or media_type == _FORM_MEDIA_TYPE
    ) and (charset is None or charset[1].lower() in {"utf-8", "us-ascii"})
