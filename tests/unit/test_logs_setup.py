import asyncio
import io
import json
import logging
import logging.config
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from runtime import logs
from runtime.settings import Settings

log = structlog.get_logger()
foreign = logging.getLogger("some.package")


def fail_with_a_secret() -> None:
    secret = "hunter" + "2"
    raise ValueError(len(secret))


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Logged:
    """A configured process, and what it has written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.console = io.StringIO()

    def configure(self, *, level: str = "info", **options: Any) -> None:
        settings = replace(
            Settings.from_environment({}), log_dir=self.folder / "logs", log_level=level
        )
        options = {"console": self.console, "environment": {}, **options}
        logs.configure("web", settings, **options)

    @property
    def raw(self) -> bytes:
        return (self.folder / "logs" / "web.log").read_bytes()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.raw.splitlines()]

    @property
    def line(self) -> dict[str, Any]:
        (line,) = self.lines
        return line


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[Logged]:
    logged = Logged(tmp_path)
    logged.configure()
    try:
        yield logged
    finally:
        logs.reset()
        structlog.contextvars.clear_contextvars()


def test_a_line_says_when_what_where_and_who(logged: Logged) -> None:
    log.info("invocation.accepted", function="fib", payload_bytes=12)

    line = logged.line
    assert list(line)[:7] == [
        "timestamp",
        "level",
        "event",
        "logger",
        "process",
        "instance",
        "pid",
    ]
    timestamp = line.pop("timestamp")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", timestamp)
    assert abs((datetime.now(UTC) - datetime.fromisoformat(timestamp)).total_seconds()) < 60
    assert line == {
        "level": "info",
        "event": "invocation.accepted",
        "logger": __name__,
        "process": "web",
        "instance": "web",
        "pid": os.getpid(),
        "function": "fib",
        "payload_bytes": 12,
    }


@pytest.mark.parametrize("variable", ["HONCHO_PROCESS_NAME", "SUPERVISOR_PROCESS_NAME"])
def test_the_instance_is_what_the_supervisor_calls_it(logged: Logged, variable: str) -> None:
    logged.configure(environment={variable: "web.2"})
    log.info("x")
    assert (logged.line["process"], logged.line["instance"]) == ("web", "web.2")


def test_both_kinds_of_lines_carry_the_bound_context(logged: Logged) -> None:
    with logs.context(invocation_id="abc", attempt=1):
        log.info("ours", attempt=2)
        foreign.warning("theirs %s", "x", extra={"more": 1})
    log.info("outside")

    ours, theirs, outside = logged.lines
    assert (ours["invocation_id"], ours["attempt"]) == ("abc", 2)
    assert (theirs["invocation_id"], theirs["attempt"]) == ("abc", 1)
    assert theirs["event"] == "theirs x"
    assert theirs["level"] == "warning"
    assert theirs["logger"] == "some.package"
    assert theirs["more"] == 1
    assert theirs["timestamp"].endswith("Z")
    assert set(ours) - {"attempt"} <= set(theirs)
    assert "invocation_id" not in outside


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["debug", "info", "warning", "error", "critical"]),
        ("warning", ["warning", "error", "critical"]),
        ("error", ["error", "critical"]),
    ],
)
def test_the_level_holds_for_both_kinds(logged: Logged, level: str, expected: list[str]) -> None:
    logged.configure(level=level)
    for name in ("debug", "info", "warning", "error", "critical"):
        getattr(log, name)("ours")
        getattr(foreign, name)("theirs")
    assert [line["level"] for line in logged.lines if line["event"] == "ours"] == expected
    assert [line["level"] for line in logged.lines if line["event"] == "theirs"] == expected


def test_noisy_libraries_can_be_quieted(logged: Logged) -> None:
    logged.configure(quiet={"some.package": logging.ERROR})
    foreign.warning("noise")
    foreign.error("signal")
    assert logged.line["event"] == "signal"
    logged.configure()
    foreign.info("no longer quiet")
    assert logged.lines[-1]["event"] == "no longer quiet"


def test_unusual_levels_get_the_name_of_the_next_lower_one(logged: Logged) -> None:
    foreign.log(25, "theirs")
    log.log(35, "ours")
    assert [line["level"] for line in logged.lines] == ["info", "warning"]


def test_exceptions_come_with_their_traceback_and_without_variables(logged: Logged) -> None:
    try:
        fail_with_a_secret()
    except ValueError as error:
        log.exception("ours")
        log.warning("given", exc_info=error)
        foreign.exception("theirs")
    log.warning("none at all", exc_info=True)  # noqa: LOG014  people do

    *with_traceback, without = logged.lines
    for line in with_traceback:
        assert line["exception"].startswith("Traceback (most recent call last):\n")
        assert line["exception"].endswith("ValueError: 7")
        assert "hunter2" not in line["exception"]
        assert "exc_info" not in line
    assert "exception" not in without


def test_an_exception_that_cannot_be_shown_is_logged_all_the_same(logged: Logged) -> None:
    class HostileError(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    log.error("x", exc_info=HostileError(), error=HostileError())
    assert "HostileError" in logged.line["exception"]


def test_a_stack_is_the_callers(logged: Logged) -> None:
    log.info("x", stack_info=True)
    foreign.info("x", stack_info=True)
    for line in logged.lines:
        assert "test_a_stack_is_the_callers" in line["stack"].splitlines()[-2]


def test_a_wrong_template_does_not_raise(logged: Logged) -> None:
    logged.configure()  # without pytest's own handler, which raises here
    log.info("%d %d", "x")  # noqa: PLE1206  people do
    log.info("%s", "fine")
    log.info("%(a)s", {"a": "mapped"})
    foreign.info("%d %d", "x")
    assert [line["event"] for line in logged.lines] == [
        "%d %d ('x',)",
        "fine",
        "mapped",
        "%d %d ('x',)",
    ]


def test_fields_may_have_any_name_and_cannot_forge_a_line(logged: Logged) -> None:
    log.info("real", event={"type": "x"}, level="critical", process="x", self=1, args=2, name=3)
    line = logged.line
    assert (line["event"], line["level"], line["process"]) == ("real", "info", "web")
    assert (line["event_"], line["level_"], line["process_"]) == ({"type": "x"}, "critical", "x")
    assert (line["self"], line["args"], line["name"]) == (1, 2, 3)


def test_lines_of_another_program_keep_their_time_and_origin(logged: Logged) -> None:
    log.info("a", timestamp="2026-01-31T13:30:00+01:00", pid=1, logger="server")
    log.info("b", timestamp=datetime(2026, 1, 31, 12, 30, tzinfo=UTC))
    log.info("c", timestamp="yesterday", pid="none")
    first, second, third = logged.lines
    assert first["timestamp"] == second["timestamp"] == "2026-01-31T12:30:00.000000Z"
    assert (first["pid"], first["logger"]) == (1, "server")
    assert third["timestamp"].startswith("20")
    assert (third["timestamp_"], third["pid_"], third["pid"]) == ("yesterday", "none", os.getpid())


@pytest.mark.parametrize(
    "event",
    [None, 5, ValueError("x"), "\ud800", "a\nb\x1b[2J", b"x", ""],
    # A lone surrogate in a test's name breaks the reports of pytest-xdist.
    ids=["none", "integer", "exception", "surrogate", "escapes", "bytes", "empty"],
)
def test_any_event_is_one_valid_line(logged: Logged, event: Any) -> None:
    logged.configure()  # without pytest's own handler, whose report cannot hold a surrogate
    log.info(event)
    foreign.info(event)
    assert len(logged.lines) == 2
    assert all(isinstance(line["event"], str) for line in logged.lines)
    logged.raw.decode("utf-8")


def test_the_arguments_of_celery_tasks_stay_out(logged: Logged) -> None:
    logging.getLogger("celery.app.trace").info("done", extra={"data": {"kwargs": "secret"}})
    assert "data" not in logged.line


def test_warnings_come_as_lines(logged: Logged) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logged.configure()
        warnings.warn("old thing", stacklevel=1)
        logs.reset()
    assert logged.line["logger"] == "py.warnings"
    assert "old thing" in logged.line["event"]
    assert not logged.line["event"].endswith("\n")


def test_the_console_has_the_same_lines_for_people(logged: Logged) -> None:
    log.info("invocation.accepted", function="fib", attempt=1)
    foreign.warning("theirs")
    ours, theirs = logged.console.getvalue().splitlines()
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d\.\d{3}  web        info      invocation\.accepted  fib  attempt=1", ours
    )
    assert theirs.endswith("warning   theirs")


@pytest.mark.parametrize(
    ("stream", "environment", "expected"),
    [
        (_Terminal, {}, True),
        (_Terminal, {"NO_COLOR": "1"}, False),
        (io.StringIO, {}, False),
    ],
)
def test_colors_are_for_terminals_that_want_them(
    logged: Logged,
    stream: Callable[[], io.StringIO],
    environment: dict[str, str],
    *,
    expected: bool,
) -> None:
    console = stream()
    logged.configure(console=console, environment=environment)
    log.info("x")
    assert ("\x1b[" in console.getvalue()) is expected


def test_a_closed_console_does_not_disturb(logged: Logged) -> None:
    logged.console.close()
    log.info("x")
    assert logged.line["event"] == "x"


def test_a_console_that_is_not_utf8_gets_escapes(logged: Logged) -> None:
    buffer = io.BytesIO()
    logged.configure(console=io.TextIOWrapper(buffer, encoding="ascii"))
    log.info("grüße")
    assert b"gr\\xfc\\xdfe" in buffer.getvalue()
    assert logged.line["event"] == "grüße"


def test_the_default_console_is_the_stdout_of_the_moment(
    logged: Logged, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("web", replace(Settings.from_environment({}), log_dir=logged.folder / "logs"))
    log.info("to stdout")
    logs.reset()
    assert "to stdout" in capsys.readouterr().out


def test_configuring_again_replaces(logged: Logged, tmp_path: Path) -> None:
    log.info("first")
    second = Logged(tmp_path / "second")
    second.configure()
    log.info("second")
    foreign.info("second")
    assert [line["event"] for line in logged.lines] == ["first"]
    assert [line["event"] for line in second.lines] == ["second", "second"]


def test_resetting_puts_everything_back(tmp_path: Path) -> None:
    root = logging.getLogger()

    def present() -> list[object]:
        return [root.level, list(root.handlers), sys.excepthook, threading.excepthook]

    before = present()
    Logged(tmp_path).configure()
    assert present() != before
    logs.reset()
    assert present() == before
    assert not structlog.is_configured()


def test_an_uncaught_exception_is_a_line(logged: Logged) -> None:
    error = ValueError("boom")
    sys.excepthook(ValueError, error, None)
    line = logged.line
    assert (line["event"], line["level"]) == ("process.crashed", "critical")
    assert line["exception"] == "ValueError: boom"


def test_an_interrupt_is_no_crash(logged: Logged, capsys: pytest.CaptureFixture[str]) -> None:
    log.info("x")
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert len(logged.lines) == 1
    assert "KeyboardInterrupt" in capsys.readouterr().err


def test_without_a_console_a_crash_is_on_stderr_too(
    logged: Logged, capsys: pytest.CaptureFixture[str]
) -> None:
    logged.configure(console=None)
    sys.excepthook(ValueError, ValueError("boom"), None)
    assert logged.line["event"] == "process.crashed"
    assert "ValueError: boom" in capsys.readouterr().err


def test_an_uncaught_exception_of_a_thread_is_a_line(logged: Logged) -> None:
    def crash() -> None:
        raise ValueError("boom")

    thread = threading.Thread(target=crash, name="doomed")
    thread.start()
    thread.join()
    leaver = threading.Thread(target=sys.exit)
    leaver.start()
    leaver.join()
    line = logged.line
    assert (line["event"], line["thread"]) == ("process.crashed", "doomed")
    assert "in crash" in line["exception"]


def test_time_limits_get_through_a_log_call(logged: Logged) -> None:
    class TimeLimitError(Exception):
        pass

    class Console(io.StringIO):
        def write(self, _: str) -> int:
            raise TimeLimitError

    logged.configure(console=Console())
    with pytest.raises(TimeLimitError):
        log.info("x")


def test_asynchronous_calls_write_too(logged: Logged) -> None:
    async def use() -> None:
        await log.ainfo("a", x=1)
        try:
            fail_with_a_secret()
        except ValueError:
            await log.aexception("b")

    asyncio.run(use())
    assert [line["event"] for line in logged.lines] == ["a", "b"]
    assert "ValueError" in logged.lines[1]["exception"]


def test_bound_loggers_keep_their_fields(logged: Logged) -> None:
    structlog.get_logger("given.name").bind(a=1).info("x", b=2)
    line = logged.line
    assert (line["logger"], line["a"], line["b"]) == ("given.name", 1, 2)


def test_structlogs_own_capturing_works(logged: Logged) -> None:
    with capture_logs() as captured:
        log.warning("x", a=1)
    assert captured == [{"event": "x", "a": 1, "log_level": "warning"}]
    log.info("y")
    assert logged.line["event"] == "y"


def test_servers_with_loggers_of_their_own_pass_through(logged: Logged) -> None:
    server = logging.getLogger("test.server")
    server.propagate = False
    logging.config.dictConfig(logs.pass_through("test.server"))
    server.info("hello")
    assert logged.line["event"] == "hello"


def test_a_folder_that_cannot_be_is_reported_once_and_lines_go_to_the_console(
    logged: Logged, capsys: pytest.CaptureFixture[str]
) -> None:
    (logged.folder / "logs").write_text("a file where the folder should be")
    logged.configure()
    log.info("one")
    log.info("two")
    assert [line.split()[-1] for line in logged.console.getvalue().splitlines()] == ["one", "two"]
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("eyas: cannot write ")
    assert "Not a directory" in error

    (logged.folder / "logs").unlink()
    log.info("three")
    three, resumed = logged.lines
    assert three["event"] == "three"
    assert (resumed["event"], resumed["missed_count"]) == ("log.resumed", 2)
    assert "misses 2 lines" in capsys.readouterr().err
