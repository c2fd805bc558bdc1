"""Turn the fields of a log line into JSON, whatever they are. Nothing here raises.

Most lines carry short texts and numbers only, and pay for no more than a look at each. Everything
else goes through `plain`, which makes JSON values of any object, within bounds.

Exceptions are caught narrowly on purpose: a time limit is an exception that may arrive in the
middle of any log call of a handler, and must get through to it.
"""

import datetime as dt
import decimal
import math
import pathlib
import sys
import types
import uuid
from collections import deque
from collections.abc import Mapping
from typing import Any

import msgspec

_ENCODE = msgspec.json.Encoder().encode
_ENCODE_ERRORS = (ValueError, TypeError, OverflowError, RecursionError, msgspec.MsgspecError)

MAX_LINE_BYTES = 256_000
"""A longer line has its texts shortened: a log of whole payloads is of no use to anybody."""

_MAX_DEPTH = 16
_MAX_ITEM_COUNT = 10_000
_MAX_TEXT = 8_000
_MAX_SHORTENED_TEXT = 4_000
_MAX_SHORTENED_ITEM_COUNT = 100
# A longer integer cannot be read back as a number with Python's default limit: it becomes a text.
_MAX_INTEGER_DIGITS = sys.int_info.default_max_str_digits
_INT64 = 2**63

_AS_TEXT = (
    dt.date,
    dt.time,
    dt.timedelta,
    decimal.Decimal,
    pathlib.PurePath,
    uuid.UUID,
)
_SEQUENCES = (list, tuple, set, frozenset, deque)


def encode_line(line: Mapping[str, Any]) -> bytes:
    """Return `line`, as made by `plain_fields`, as one line of JSON with its newline."""
    try:
        data = _ENCODE(line)
    except _ENCODE_ERRORS:
        # A lone surrogate in a text or in a key; `plain` replaces those.
        data = _ENCODE(plain(line))
    if len(data) > MAX_LINE_BYTES:
        data = _ENCODE(_Shape(_MAX_SHORTENED_ITEM_COUNT, _MAX_SHORTENED_TEXT).mapping(line, 0))
    return data + b"\n"


def encode_simple(fields: Mapping[str, Any]) -> bytes | None:
    """Return the JSON object of fields that have texts and usual numbers only; else None."""
    for value in fields.values():
        # The commonest first, and no calls: this is a good part of what a line costs.
        kind = type(value)
        if kind is str:
            continue
        if kind is int:
            if -_INT64 < value < _INT64:
                continue
        elif kind is float:
            if value - value == 0.0:  # neither infinite nor NaN
                continue
        elif kind is bool or value is None:
            continue
        return None
    try:
        return _ENCODE(fields)
    except _ENCODE_ERRORS:
        return None  # a lone surrogate


def plain_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Return `fields` with values that JSON can hold: the same dict if they all are simple."""
    if encode_simple(fields) is not None:
        return fields
    return _Shape(_MAX_ITEM_COUNT, None).mapping(fields, 0)


def plain(value: object) -> Any:
    """Return a JSON value for any object: the same data where JSON has it, else a text."""
    return _Shape(_MAX_ITEM_COUNT, None).value(value, 0)


def text_of(value: object) -> str:
    """Return the `str` of any object, even of one that cannot be shown."""
    try:
        return _clean(str(value))
    except Exception as error:  # noqa: BLE001 - any object's own code
        return _unshowable(value, error)


class _Shape:
    """One pass over one line, with a bound on the number of items and the length of texts."""

    def __init__(self, max_item_count: int, max_text: int | None) -> None:
        self._left = max_item_count
        self._max_text = max_text

    def value(self, value: object, depth: int) -> Any:
        # By type and not isinstance(), which asks the object for its __class__: its own code.
        kind = type(value)
        self._left -= 1
        if value is None or kind is bool:
            return value
        if issubclass(kind, str):
            return self._text(str.__str__(value))
        if issubclass(kind, int):
            return _integer(int.__index__(value))  # type: ignore[arg-type]
        if issubclass(kind, float):
            number = float.__pos__(value)  # type: ignore[arg-type]
            # JSON has no NaN and infinity, and null would hide what the value was.
            return number if math.isfinite(number) else repr(number)
        try:
            return self._container(kind, value, depth)
        except Exception as error:  # noqa: BLE001 - any object's own code
            return _unshowable(value, error)

    def mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, item in value.items():
            if self._left <= 0:
                result["..."] = f"{len(value) - len(result)} more"
                break
            name = key if type(key) is str else text_of(key)
            result[self._text(name)] = self.value(item, depth + 1)
        return result

    def _container(self, kind: type, value: Any, depth: int) -> Any:
        if issubclass(kind, (bytes, bytearray, memoryview)):
            return self._text(bytes(value).decode("utf-8", "backslashreplace"))
        if issubclass(kind, _AS_TEXT):
            return self._text(str(value))
        is_mapping = issubclass(kind, (dict, types.MappingProxyType))
        if not is_mapping and not issubclass(kind, _SEQUENCES):
            return self._text(repr(value), _MAX_TEXT)
        if depth >= _MAX_DEPTH:
            return f"<{kind.__name__} nested too deep>"
        if is_mapping:
            return self.mapping(value, depth)
        items: list[Any] = []
        for item in value:
            if self._left <= 0:
                items.append(f"... {len(value) - len(items)} more")
                break
            items.append(self.value(item, depth + 1))
        return items

    def _text(self, text: str, max_text: int | None = None) -> str:
        limit = self._max_text or max_text
        if limit is not None and len(text) > limit:
            # Both ends: what a traceback is about stands in its last line.
            half = limit // 2
            text = f"{text[:half]} ... ({len(text)} characters) ... {text[-half:]}"
        return _clean(text)


def _clean(text: str) -> str:
    """Return `text` as an exact `str` that UTF-8 can hold: lone surrogates are written out."""
    text = str.__str__(text)
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _integer(number: int) -> int | str:
    digits = int(number.bit_length() * math.log10(2)) + 1
    limit = sys.get_int_max_str_digits() or _MAX_INTEGER_DIGITS
    if digits <= min(limit, _MAX_INTEGER_DIGITS):
        return number
    if digits < limit:
        return str(number)
    return f"<integer of about {digits} digits>"


def _unshowable(value: object, error: Exception) -> str:
    return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"
