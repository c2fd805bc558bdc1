"""How many lines a console shows."""

import io
import json

from runtime.logs.console import Console
from runtime.logs.line import Line


class Shown:
    """A console, its clock, and what was shown."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.stream = io.StringIO()
        self.console = Console(
            self.stream,
            path="logs/web.log",
            has_colors=False,
            has_process=False,
            clock=lambda: self.now,
        )

    def write(
        self, count: int, *, level: str = "info", in_file_count: int | None = None
    ) -> list[str]:
        """Write lines together; return what of them is shown."""
        line = Line(json.dumps({"event": "x", "level": level}).encode() + b"\n", level)
        self.stream.seek(0)
        self.stream.truncate()
        self.console.write(
            [line] * count, in_file_count=count if in_file_count is None else in_file_count
        )
        return self.stream.getvalue().splitlines()


def test_a_burst_is_shown_whole() -> None:
    shown = Shown()
    assert len(shown.write(600)) == 600
    assert len(shown.write(400)) == 400


def test_a_flood_is_shown_in_part_with_one_remark_a_second() -> None:
    shown = Shown()
    first = shown.write(10_000)
    assert len(first) == 1_001
    assert first[-1].endswith("info      console.limited  see=logs/web.log")
    assert shown.write(10_000) == []
    for _ in range(3):
        shown.now += 1
        lines = shown.write(5_000)
        assert len(lines) == 101
        assert "console.limited" in lines[-1]
        assert shown.write(5_000) == []


def test_quiet_times_are_saved_up_for_bursts_and_not_for_ever() -> None:
    shown = Shown()
    shown.write(1_000)
    shown.now += 5
    assert len(shown.write(500)) == 500
    shown.now += 3_600
    assert len(shown.write(2_000)) == 1_001


def test_a_flood_hides_no_warning_and_no_error() -> None:
    shown = Shown()
    shown.write(10_000)
    assert len(shown.write(300, level="warning")) == 300
    assert len(shown.write(700, level="error")) == 700
    assert len(shown.write(700, level="error")) == 1
    assert len(shown.write(5, level="critical")) == 5


def test_what_is_in_no_file_is_shown_always() -> None:
    shown = Shown()
    shown.write(10_000)
    assert len(shown.write(3_000, in_file_count=1_000)) == 2_000
