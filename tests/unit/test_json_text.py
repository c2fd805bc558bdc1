import dataclasses
import datetime
import json
import math
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import json_text
from runtime.errors import MalformedJSONError

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
)


@given(JSON)
def test_any_json_value_survives_the_round_trip(value: Any) -> None:
    assert json_text.decode(json_text.encode(value)) == value
    assert json_text.decode(json.dumps(value).encode()) == value


@given(st.binary())
def test_bytes_are_json_for_us_if_they_are_for_the_standard_library(raw: bytes) -> None:
    try:
        expected = json.loads(raw.decode("utf-8"), parse_constant=float.fromhex)
    except (ValueError, RecursionError):
        if raw:
            with pytest.raises(MalformedJSONError):
                json_text.decode(raw)
    else:
        assert json_text.decode(raw) == expected


def test_integers_of_many_digits_stay_exact() -> None:
    json_text.limit_integer_digits(20_000)
    number = 7 * 10**19_000 + 3

    assert json_text.decode(json_text.encode({"a": [number, -number]})) == {"a": [number, -number]}


def test_integers_over_the_limit_are_refused_clearly() -> None:
    json_text.limit_integer_digits()
    with pytest.raises(MalformedJSONError, match="an integer has more than 100000 digits"):
        json_text.decode(b"[" + b"9" * 100_001 + b"]")
    with pytest.raises(json_text.NotJSONError, match="digits"):
        json_text.encode(10**200_000)  # Python 3.12 and newer let slightly longer ones pass


@pytest.mark.parametrize(
    ("raw", "line", "column"),
    [
        (b"{", 1, 2),
        (b'{"a": }', 1, 7),
        (b'{\n "a": 1,\n x}', 3, 2),
        ('{"é": x}'.encode(), 1, 7),
        (b"\xff", 1, 1),
        (b"NaN", 1, 1),
        (b"[1e999]", 1, 2),
        (b'{"1e999":\n [2e5, 3, -1.5E+400]}', 2, 11),
        (b"[1" + b"0" * 5_000 + b", 1e999]", 1, 5_005),
        (b"", 0, 0),
    ],
)
def test_malformed_text_is_located(raw: bytes, line: int, column: int) -> None:
    if not raw:
        assert json_text.decode(raw) == {}
        return
    with pytest.raises(MalformedJSONError) as caught:
        json_text.decode(raw)
    assert (caught.value.line, caught.value.column) == (line, column)


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        [1, {"a": -math.inf}],
        (math.nan, None),
        {"a": None, "b": {math.nan}},
        object(),
        {1j: 2},
        pytest.param("\ud800", id="surrogate"),
    ],
)
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(json_text.NotJSONError):
        json_text.encode(value)


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)

    with pytest.raises(json_text.NotJSONError, match="contains itself"):
        json_text.encode(value)


def test_common_python_types_become_json() -> None:
    @dataclasses.dataclass
    class Point:
        x: int
        label: str | None = None

    encoded = json_text.decode(
        json_text.encode(
            {
                "point": Point(1),
                "day": datetime.date(2026, 1, 2),
                "id": uuid.UUID(int=0),
                "pair": (1, 2),
            }
        )
    )

    assert encoded == {
        "point": {"x": 1, "label": None},
        "day": "2026-01-02",
        "id": "00000000-0000-0000-0000-000000000000",
        "pair": [1, 2],
    }


def test_nesting_is_limited_and_brackets_in_strings_do_not_count() -> None:
    deep = json_text.MAX_NESTING

    json_text.check_nesting(b"[" * deep + b"]" * deep)
    json_text.check_nesting(b"[" + b",".join([b"[]"] * 2 * deep) + b"]")
    json_text.check_nesting(json.dumps("[" * 2 * deep + '\\"[').encode())
    with pytest.raises(MalformedJSONError, match="nested deeper than 100 levels"):
        json_text.check_nesting(b'{"a":' * (deep + 1) + b"1" + b"}" * (deep + 1))
