"""The quick way of a line and the long one say the same."""

import json
import math
import os
import re
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from runtime import logs
from runtime.logs.encode import MAX_LINE_BYTES, encode_line
from runtime.logs.line import Line
from runtime.logs.output import Output
from runtime.logs.pipeline import Pipeline
from runtime.logs.sink import FileSink
from runtime.settings import Settings

TIMESTAMP = re.compile(rb'^\{"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"')


class Lines(Output):
    """Keeps what would be written."""

    def __init__(self) -> None:
        super().__init__(FileSink(Path("unused.log"), max_bytes=1, backups=1), None)
        self.lines: list[Line] = []

    def write(self, line: Line) -> None:
        self.lines.append(line)


def both_ways(event: Any, fields: dict[str, Any], *, logger: str = "web") -> tuple[bytes, bytes]:
    """Return what is written and what the long way makes, without their timestamps."""
    output = Lines()
    pipeline = Pipeline(process="web", instance="web.1", output=output)
    pipeline.emit(level="info", event=event, logger=logger, fields=dict(fields))
    long = encode_line(pipeline.line(level="info", event=event, logger=logger, fields=dict(fields)))
    (line,) = output.lines
    return tuple(  # type: ignore[return-value]
        TIMESTAMP.sub(b"", data, count=1) for data in (line.data, long)
    )


VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.lists(st.integers())
    | st.just("\ud800")
)
# Of what is special, only what says the same on every call.
NAMES = st.text(max_size=20) | st.sampled_from(["level", "event", "process", "logger", "pid"])


@given(event=st.text(), logger=st.text(), fields=st.dictionaries(NAMES, VALUES, max_size=5))
def test_any_line_is_the_same_on_both_ways(event: str, logger: str, fields: dict[str, Any]) -> None:
    written, long = both_ways(event, fields, logger=logger)
    assert json.loads(b"{" + written[1:]) == json.loads(b"{" + long[1:])
    if len({"level", "event", "process", "logger", "pid"} & set(fields)) < 2:
        assert written == long  # two such fields are put at the end in any order


class Name(StrEnum):
    EVENT = "event"


class Odd(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "shown"


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        ("x", {}),
        ("x", {"a": 1}),
        ("x", {"a": -(2**63)}),
        ("x", {"a": 2**63 - 1, "b": 2**64, "c": 10**5000}),
        ("x", {"a": math.nan, "b": -math.inf}),
        ("x", {"a": '\x00\x1f\x7f\u2028"\\'}),
        ("x", {"a": "y" * MAX_LINE_BYTES}),
        ("x", {"a": "y" * (MAX_LINE_BYTES // 2)}),
        ("x" * MAX_LINE_BYTES, {"a": 1}),
        ("a\nb", {"a\nb": True}),
        (Name.EVENT, {"a": Name.EVENT}),
        (Odd("event"), {"a": Odd("event")}),
        ({"un": "hashable"}, {"a": 1}),
        ("x", {"a": datetime(2026, 1, 31, tzinfo=UTC)}),
    ],
    ids=lambda value: str(value)[:20].encode("unicode_escape").decode(),
)
def test_unusual_lines_are_the_same_on_both_ways(event: Any, fields: dict[str, Any]) -> None:
    both_ways("event", {"a": 1})
    written, long = both_ways(event, fields)
    assert written == long


def test_seconds_and_microseconds_are_those_of_now() -> None:
    output = Lines()
    pipeline = Pipeline(process="web", instance="web", output=output)
    before = datetime.now(UTC)
    while (datetime.now(UTC) - before).total_seconds() < 1.1:
        pipeline.emit(level="info", event="x", logger="web", fields={"a": 1})
    after = datetime.now(UTC)

    moments = [datetime.fromisoformat(line.fields["timestamp"]) for line in output.lines]
    assert moments == sorted(moments)
    assert before <= moments[0] <= moments[-1] <= after
    assert (moments[-1] - moments[0]).total_seconds() > 1


def test_endless_different_events_take_no_endless_memory() -> None:
    pipeline = Pipeline(process="web", instance="web", output=Lines())
    for number in range(5_000):
        pipeline.emit(level="info", event=f"text {number}", logger="web", fields={"a": 1})
    assert len(pipeline._heads) <= 1_000


def test_a_forked_child_has_its_own_pid_on_its_lines(tmp_path: Path) -> None:
    output = Output(FileSink(tmp_path / "web.log", max_bytes=10**6, backups=1), None)
    pipeline = Pipeline(process="web", instance="web", output=output)
    pipeline.emit(level="info", event="x", logger="web", fields={"a": 1})
    child = os.fork()
    if child == 0:
        pipeline.emit(level="info", event="x", logger="web", fields={"a": 1})
        os._exit(0)
    os.waitpid(child, 0)
    lines = (tmp_path / "web.log").read_bytes().splitlines()
    assert [json.loads(line)["pid"] for line in lines] == [os.getpid(), child]
    output.close()


def test_a_logger_in_use_follows_what_is_set_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = structlog.get_logger("some.name")
    bound: list[Any] = []
    for folder in ("first", "second"):
        settings = Settings.from_environment({"EYAS_LOG_DIR": str(tmp_path / folder)})
        logs.configure("web", settings, console=None, environment={})
        log.info("x")
        bound.append(log.bind(a=1))
        for each in bound:
            each.info("y")
    logs.reset()
    log.info("to structlog's own %s", "output", b=2)
    bound[0].warning("bound")
    with capture_logs() as captured:
        log.error("captured", c=3)

    def events(folder: str) -> list[str]:
        lines = (tmp_path / folder / "web.log").read_bytes().splitlines()
        return [json.loads(line)["event"] for line in lines]

    assert events("first") == ["x", "y"]
    assert events("second") == ["x", "y", "y"]
    printed = capsys.readouterr().out
    assert "to structlog's own output" in printed
    assert "bound" in printed
    assert captured == [{"event": "captured", "c": 3, "log_level": "error"}]
