"""JSON as bytes: exact for integers of any size, strict about everything else.

msgspec reads and writes JSON, except that it refuses to read integers of more than 4,300 digits;
for those the standard library takes over. How many digits an integer may have at all is Python's
own process-wide limit, set at each entry point from `EYAS_MAX_INTEGER_DIGITS`
(https://docs.python.org/3/library/stdtypes.html#int-max-str-digits).
"""

import json
import math
import re
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

import msgspec

from runtime.errors import MalformedJSONError

_OFFSET = re.compile(r"^(?P<reason>.*?) \(byte (?P<offset>\d+)\)$")
_NUMBER = re.compile(rb'"(?:[^"\\]|\\.)*"|(?P<number>-?\d[\d.eE+-]*)', re.DOTALL)
_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_INTEGER_OUT_OF_RANGE = "Integer value out of range"


MAX_NESTING = 100
MAX_INTEGER_DIGITS = 100_000
"""Default of `EYAS_MAX_INTEGER_DIGITS`."""


class NotJSONError(ValueError):
    """A Python value that JSON cannot hold."""


def limit_integer_digits(digits: int = MAX_INTEGER_DIGITS) -> None:
    """Let integers of up to `digits` decimal digits be read and written in this process."""
    sys.set_int_max_str_digits(max(digits, sys.int_info.str_digits_check_threshold))


def decode(raw: bytes) -> Any:
    """Read one JSON value; an empty `raw` is an empty object.

    Raises `MalformedJSONError` with the line and column of the first character that is wrong.
    """
    if not raw:
        return {}
    try:
        return msgspec.json.decode(raw)
    except msgspec.ValidationError as error:
        if is_integer_out_of_range(error):
            return _decode_with_long_integers(raw)
        raise _number_out_of_range(raw) from None
    except msgspec.DecodeError as error:
        raise _malformed(raw, str(error)) from None
    except UnicodeDecodeError as error:
        raise _located(raw, "the text is not UTF-8", error.start) from None
    except RecursionError:
        raise _located(raw, "nested too deeply", 0) from None


def check_nesting(raw: bytes, *, deepest: int = MAX_NESTING) -> None:
    """Raise `MalformedJSONError` if arrays and objects are nested deeper than so many levels.

    Everybody who handles the text later then can, Celery's pickling of it included, which gives up
    below 500 levels.
    """
    if raw.count(b"[") + raw.count(b"{") <= deepest:
        return
    depth = 0
    for token in _BRACKET.finditer(raw):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(token[0], 0)
        if depth > deepest:
            raise _located(raw, f"nested deeper than {deepest} levels", token.start())


def is_integer_out_of_range(error: msgspec.ValidationError) -> bool:
    """Tell whether msgspec gave up at an integer of more than 4,300 digits."""
    return str(error).startswith(_INTEGER_OUT_OF_RANGE)


def encode(value: Any) -> bytes:
    """Write a value as JSON.

    Besides the types JSON knows: dataclasses, msgspec and attrs types, tuples, sets, dates, UUIDs,
    decimals and enums, as msgspec writes them. Raises `NotJSONError` for everything else, and for
    NaN and infinities, which JSON has no word for (RFC 8259, section 6).
    """
    try:
        raw = msgspec.json.encode(value)
    except RecursionError:
        raise NotJSONError("the value is nested too deeply, or contains itself") from None
    except (TypeError, ValueError, OverflowError) as error:
        reason = _too_many_digits() if _is_about_digits(error) else str(error)
        raise NotJSONError(reason) from error
    # msgspec writes NaN and infinities as null. Only a text with a null in it can hide one.
    if b"null" in raw:
        _refuse_non_finite(msgspec.to_builtins(value))
    return raw


def _refuse_non_finite(value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise NotJSONError(f"{value} is not a JSON number")
    if isinstance(value, Mapping):
        for member in value.values():
            _refuse_non_finite(member)
    elif isinstance(value, list | tuple | set | frozenset):
        for member in value:
            _refuse_non_finite(member)


def _decode_with_long_integers(raw: bytes) -> Any:
    try:
        return json.loads(raw, parse_constant=_refuse_constant, parse_float=_finite_float)
    except json.JSONDecodeError as error:
        raise MalformedJSONError(error.msg, line=error.lineno, column=error.colno) from None
    except NotJSONError:
        raise _number_out_of_range(raw) from None
    except ValueError as error:
        if not _is_about_digits(error):
            raise
        raise _located(raw, _too_many_digits(), 0) from None


def _finite_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise NotJSONError(f"{text} is not a number that a float can hold")
    return value


def _number_out_of_range(raw: bytes) -> MalformedJSONError:
    """Say where the first number is that no float can hold."""
    found = (one for one in _NUMBER.finditer(raw) if one["number"])
    # Integers may be of any size.
    floats = (one for one in found if not one["number"].removeprefix(b"-").isdigit())
    at = next((one.start() for one in floats if math.isinf(float(one["number"]))), 0)
    return _located(raw, "the number is too large", at)


def _is_about_digits(error: Exception) -> bool:
    return isinstance(error, ValueError) and "digits" in str(error)


def _too_many_digits() -> str:
    limit = sys.get_int_max_str_digits()
    return f"an integer has more than {limit} digits (EYAS_MAX_INTEGER_DIGITS)"


def check_encoding(raw: bytes) -> None:
    """Raise `MalformedJSONError` unless all of a text is UTF-8 (RFC 8259, section 8.1).

    msgspec passes over what it does not need, whatever bytes that is.
    """
    if raw.isascii():
        return
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        raise _located(raw, "the text is not UTF-8", error.start) from None


def _refuse_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} is not JSON", name, 0)


def _malformed(raw: bytes, message: str) -> MalformedJSONError:
    found = _OFFSET.match(message)
    if found is None:  # the text ended too early
        return _located(raw, message, len(raw))
    return _located(raw, found["reason"], int(found["offset"]))


def _located(raw: bytes, reason: str, offset: int) -> MalformedJSONError:
    before = raw[:offset]
    line_start = before.rfind(b"\n") + 1
    column = len(before[line_start:].decode("utf-8", "replace")) + 1
    return MalformedJSONError(reason, line=before.count(b"\n") + 1, column=column)
