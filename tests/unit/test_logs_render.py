import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from runtime.logs.render import _local_minute, escape, render, short_id

LINE = {
    "timestamp": "2026-01-31T12:30:00.123456Z",
    "level": "info",
    "event": "attempt.finished",
    "logger": "runtime.worker",
    "process": "worker",
    "instance": "worker.1",
    "pid": 7,
}
HOSTILE = (
    "\x1b[2J\x1b[1;1H\r\n12:30:00.123  critical  process.crashed\x07\x9b31m\u202e\u2028\x00\ud800"
)


@pytest.fixture(autouse=True)
def _time_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "IST-5:30")
    time.tzset()
    _local_minute.cache_clear()
    yield
    monkeypatch.undo()
    time.tzset()
    _local_minute.cache_clear()


def rendered(**fields: Any) -> str:
    return render({**LINE, **fields})


def test_a_line_has_the_important_things_first_and_in_local_time() -> None:
    text = rendered(
        function="fib", attempt=2, invocation_id="1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed", note="a b"
    )
    assert text == (
        '18:00:00.123  worker     info      attempt.finished  fib  1b9d6bcd  attempt=2  note="a b"'
    )


def test_the_process_can_be_left_out() -> None:
    assert render(LINE, has_process=False) == "18:00:00.123  info      attempt.finished"


def test_colors_wrap_and_do_not_change_the_text() -> None:
    line = {**LINE, "function": "fib", "request_id": "12345678abc", "a": 1}
    colored = render(line, has_colors=True)
    assert colored != render(line)
    assert re.sub(r"\x1b\[[\d;]*m", "", colored) == render(line)


@pytest.mark.parametrize(
    "fields",
    [
        {"value": HOSTILE},
        {HOSTILE: "value"},
        {"event": HOSTILE},
        {"function": HOSTILE},
        {"invocation_id": HOSTILE},
        {"level": HOSTILE},
        {"process": HOSTILE},
        {"timestamp": HOSTILE},
        {"timestamp": "2026-01-31T12:30:00" + "\x1b[2J\r" + "00Z"},
        {"value": {"nested": [HOSTILE.replace("\ud800", "")]}},
        {"exception": HOSTILE},
        {"stack": HOSTILE},
    ],
    ids=lambda fields: next(iter(fields)) if "\x1b" not in next(iter(fields)) else "key",
)
def test_nothing_hostile_reaches_the_terminal(fields: dict[str, Any]) -> None:
    lines = rendered(**fields).split("\n")
    for line in lines:
        assert line.isprintable()
    for line in lines[1:]:
        assert line.startswith("    | ")


def test_a_value_cannot_pass_for_other_fields() -> None:
    assert rendered(a="1 level=error", b="x=y", c="", d='"').endswith(
        'a="1 level=error"  b="x=y"  c=""  d="\\""'
    )


def test_values_show_as_json() -> None:
    assert rendered(a=None, b=True, c=[1, {"x": "y"}], d=1.5).endswith(
        'a=null  b=true  c=[1,{"x":"y"}]  d=1.5'
    )


def test_long_values_are_shortened_and_say_how_long_they_were() -> None:
    text = rendered(a="x" * 10_000, b=["y" * 10_000], event="z" * 10_000)
    assert "x... (10000 characters)" in text
    assert "(10004 characters)" in text
    assert "z... (10000 characters)" in text
    assert len(text) < 1_200


def test_tracebacks_are_indented_below_and_long_ones_lose_their_middle() -> None:
    head, *below = rendered(exception="Traceback:\n" + "  x\n" * 500 + "ValueError: y").split("\n")
    assert head.endswith("attempt.finished")
    assert below[0] == "    | Traceback:"
    assert below[-1] == "    | ValueError: y"
    assert "    | ... 402 lines ..." in below
    assert len(below) == 101


def test_a_traceback_that_ends_with_a_line_end_has_no_empty_line_below() -> None:
    assert rendered(exception="Traceback:\nValueError: y\n").split("\n")[1:] == [
        "    | Traceback:",
        "    | ValueError: y",
    ]


def test_the_further_lines_of_an_event_are_below_too() -> None:
    assert rendered(event="Banner\n  line 2", a=1).split("\n") == [
        "18:00:00.123  worker     info      Banner  a=1",
        "    |   line 2",
    ]


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        ("2026-01-31T12:30:59.999999Z", "18:00:59.999"),
        ("2026-01-31T12:30:00+00:00", "18:00:00.000"),
        ("soon", "--:--:--.---"),
        (5, "--:--:--.---"),
        ("0001-01-01T00:00:00.000000Z", "05:30:00.000"),
        ("xxxx-01-01T00:00:00.000000Z", "--:--:00.000"),
    ],
)
def test_any_timestamp_shows_as_well_as_it_can(timestamp: object, expected: str) -> None:
    assert rendered(timestamp=timestamp).split("  ")[0] == expected


def test_a_line_without_anything_renders() -> None:
    assert render({}) == "--:--:--.---"


def test_printable_text_is_not_escaped() -> None:
    assert escape("grüße 猫 🐦") == "grüße 猫 🐦"
    assert escape("a\tb\x1b") == "a\\tb\\x1b"


def test_ids_that_begin_with_the_time_are_cut_behind_it() -> None:
    assert short_id("0192f0c1-2222-7abc-8def-000000000001") == "0192f0c1-2222"
    assert short_id("1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed") == "1b9d6bcd"
    assert short_id("r-1") == "r-1"
