import json
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from runtime.logs.encode import MAX_LINE_BYTES, encode_line, plain, plain_fields, text_of


class _Unshowable:
    def __repr__(self) -> str:
        raise ZeroDivisionError

    def __str__(self) -> str:
        raise ZeroDivisionError


class _LiesAboutItsClass:
    @property
    def __class__(self) -> type:  # type: ignore[override]
        raise ZeroDivisionError


class _BrokenDict(dict[str, int]):
    def items(self) -> Any:
        raise ZeroDivisionError


class _BrokenText(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise ZeroDivisionError


class _Color(Enum):
    RED = 1


class _Word(StrEnum):
    YES = "yes"


def _cycle() -> list[Any]:
    cycle: list[Any] = []
    cycle.append(cycle)
    return cycle


def _deep() -> list[Any]:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    return deep


def _exploding() -> list[Any]:
    nested: list[Any] = ["x"]
    for _ in range(14):
        nested = [nested] * 10
    return nested


def _counting() -> Iterator[int]:
    yield 1


HOSTILE = {
    "big integer": 2**4000,
    "integer over the digit limit": 10**5000,
    "negative integer over the digit limit": -(10**5000),
    "nan": float("nan"),
    "infinity": float("-inf"),
    "lone surrogate": "a\ud800b",
    "control characters": "\x00\x1b[2J\r\n\u2028\x85",
    "bytes": b"\xff\x00abc",
    "bytearray": bytearray(b"x"),
    "memoryview": memoryview(b"abc"),
    "exception": ValueError("no\nway"),
    "class": ValueError,
    "path": Path("/x/y"),
    "surrogate path": Path("/x/\udcff"),
    "date": datetime(2026, 1, 1, tzinfo=UTC),
    "decimal": Decimal("1.10"),
    "uuid": UUID(int=1),
    "enum": _Color.RED,
    "string enum": _Word.YES,
    "set": {1},
    "generator": _counting(),
    "lock": threading.Lock(),
    "unshowable": _Unshowable(),
    "lies about its class": _LiesAboutItsClass(),
    "broken dict": _BrokenDict(a=1),
    "broken text": _BrokenText("x"),
    "cycle": _cycle(),
    "deep": _deep(),
    "exploding": _exploding(),
    "strange keys": {None: 1, (1, 2): 2, "\ud800": 3, b"k": 4, _Unshowable(): 5, 1.5: 6},
    "ordered dict": OrderedDict(a=1),
    "many": list(range(1_000_000)),
    "long": "x" * 3_000_000,
    "long repr": type("Long", (), {"__repr__": lambda _: "x" * 3_000_000})(),
    "nested": {"a": [{"b": b"c", "d": (float("nan"), "\udfff")}]},
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("is_nested", [False, True])
def test_any_value_becomes_one_line_of_valid_json(name: str, is_nested: bool) -> None:
    value = {"deeper": [HOSTILE[name]]} if is_nested else HOSTILE[name]

    line = encode_line({"timestamp": "t", **plain_fields({"before": 1, "value": value})})

    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert len(line) < 2 * MAX_LINE_BYTES
    decoded = json.loads(line)
    assert decoded["before"] == 1
    assert "value" in decoded


_EXPECTED = {
    "big integer": (2**200, 2**200),
    "integer that readers would refuse": (10**5000, "1" + "0" * 5000),
    "integer over the digit limit": (10**200_000, "<integer of about 200001 digits>"),
    "nan": (float("nan"), "nan"),
    "bool": (True, True),
    "bytes": (b"\xffa", "\\xffa"),
    "surrogate": ("\ud800", "\\ud800"),
    "exception": (ValueError("x"), "ValueError('x')"),
    "path": (Path("a/b"), "a/b"),
    "tuple and set": ((1, {2}), [1, [2]]),
    "key": ({None: 1}, {"None": 1}),
    "decimal": (Decimal("1.10"), "1.10"),
    "unshowable": (_Unshowable(), "<_Unshowable that cannot be shown: ZeroDivisionError>"),
    "string enum": (_Word.YES, "yes"),
    "text": (_BrokenText("x"), "x"),
}


@pytest.mark.parametrize("name", _EXPECTED)
def test_values_stay_what_they_are_as_far_as_json_has_it(name: str) -> None:
    value, expected = _EXPECTED[name]
    assert plain(value) == expected
    assert type(plain(value)) is type(expected)


def test_simple_fields_are_not_copied() -> None:
    fields = {"a": "x", "b": 1, "c": 1.5, "d": None, "e": True}
    assert plain_fields(fields) is fields


def test_an_iterator_is_not_used_up() -> None:
    iterator = iter([1, 2])
    plain({"value": iterator})
    assert list(iterator) == [1, 2]


def test_integers_obey_a_lower_digit_limit() -> None:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        line = encode_line(plain_fields({"value": 10**1000}))
    finally:
        sys.set_int_max_str_digits(before)
    assert json.loads(line) == {"value": "<integer of about 1001 digits>"}


def test_a_long_line_keeps_its_head_and_the_end_of_its_traceback() -> None:
    traceback = "Traceback:\n" + "  line\n" * 100_000 + "ValueError: the reason"
    line = encode_line({"event": "attempt.failed", "exception": traceback})
    decoded = json.loads(line)
    assert len(line) < MAX_LINE_BYTES
    assert decoded["event"] == "attempt.failed"
    assert decoded["exception"].startswith("Traceback:")
    assert decoded["exception"].endswith("ValueError: the reason")


def test_the_text_of_anything_is_a_text() -> None:
    assert text_of(_Unshowable()) == "<_Unshowable that cannot be shown: ZeroDivisionError>"
    assert text_of("\ud800") == "\\ud800"
