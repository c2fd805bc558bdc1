"""What an invocation has logged, in the form of AWS."""

import base64
import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runtime.invocation import Record, Status
from runtime.web.aws.tail import read_tail

ONE = "8a1d3c9e-9d0f-4f67-9d3c-6d5f7f0e2b11"
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)


def record(status: Status = Status.SUCCEEDED) -> Record:
    return Record(
        id=ONE,
        function="some",
        status=status,
        trigger="http",
        payload=b"{}",
        attempt=1,
        max_attempts=1,
        accepted_at_us=0,
        started_at_us=0,
        finished_at_us=2_500,
    )


class Log:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0

    def write(self, event: str, *, process: str = "worker", logger: str, **fields: Any) -> None:
        self.count += 1
        at = (AT + timedelta(milliseconds=self.count)).isoformat(timespec="microseconds")
        line = {
            "timestamp": at.replace("+00:00", "Z"),
            "level": "info",
            "event": event,
            "logger": logger,
            "process": process,
            "invocation_id": ONE,
        } | fields
        with (self.folder / f"{process}.log").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def end(self, status: str, **fields: Any) -> None:
        self.write("attempt.finished", logger="worker", status=status, run_ms=1.234, **fields)

    def tail(
        self,
        status: Status = Status.SUCCEEDED,
        *,
        is_quiet: bool = False,
        wait_seconds: float = 3600.0,
    ) -> str:
        read = read_tail(
            self.folder, record(status), since=None, is_quiet=is_quiet, wait_seconds=wait_seconds
        )
        return base64.b64decode(read).decode()


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


REPORT = (
    f"END RequestId: {ONE}\n"
    f"REPORT RequestId: {ONE}\tDuration: 1.23 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\t"
    "Max Memory Used: 0 MB\t\n"
)
START = f"START RequestId: {ONE} Version: $LATEST\n"


def test_each_attempt_has_a_part_of_its_own(log: Log) -> None:
    log.write("handler.output", logger="handler", text="first")
    log.end("retrying", error_type="OSError", error_message="no")
    log.write("handler.output", logger="handler", text="second")
    log.end("succeeded")

    assert log.tail() == (f"{START}first\n[ERROR] OSError: no\n{REPORT}{START}second\n{REPORT}")


def test_what_others_say_is_not_in_it(log: Log) -> None:
    log.write("request.finished", process="web", logger="web", status=200)
    log.write("attempt.cancelled", logger="worker")
    log.write("attempt.finished", logger="functions.some", status="failed")
    log.write("handler.output", logger="handler", text="another's", invocation_id="other")
    log.end("succeeded")

    said = "[INFO]\t2026-11-23T12:00:00.003Z\t" + ONE + "\tattempt.finished status=failed\n"
    assert log.tail() == START + said + REPORT


def test_of_chained_exceptions_the_latest_is_shown(log: Log) -> None:
    first = (
        'Traceback (most recent call last):\n  File "a.py", line 1, in a\n    b()\nKeyError: 1\n'
    )
    middle = "\nDuring handling of the above exception, another exception occurred:\n\n"
    then = 'Traceback (most recent call last):\n  File "c.py", line 2, in c\n    d()\n'
    text = f"{first}{middle}{then}ValueError: x\n  y"
    log.end("failed", error_type="ValueError", error_message="x\n  y", exception=text)

    shown = log.tail(Status.FAILED)
    assert "[ERROR] ValueError: x\n  y\nTraceback (most recent call last):\n" in shown
    assert '\u00a0\u00a0File "c.py", line 2, in c\n\u00a0\u00a0\u00a0\u00a0d()\n' in shown
    assert "a.py" not in shown


def test_it_waits_for_the_line_about_the_end(log: Log) -> None:
    log.write("handler.output", logger="handler", text="said")
    late = threading.Timer(0.3, log.end, ("succeeded",))
    late.start()
    assert log.tail() == f"{START}said\n{REPORT}"
    late.join()


def test_it_does_not_wait_for_ever(log: Log) -> None:
    log.write("handler.output", logger="handler", text="said")
    text = log.tail(wait_seconds=0.1)

    assert text == f"{START}said\n" + REPORT.replace("1.23", "2.50").replace("2 ms", "3 ms")


@pytest.mark.parametrize(
    ("status", "is_quiet"), [(Status.CANCELLED, False), (Status.SUCCEEDED, True)]
)
def test_what_will_not_come_is_not_waited_for(log: Log, status: Status, is_quiet: bool) -> None:
    text = log.tail(status, is_quiet=is_quiet)  # an hour would be too long for the test

    assert text.startswith(f"{START}END RequestId: {ONE}\n")
