import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from runtime.logs.encode import encode_line
from runtime.logs.reader import LogFilter, follow
from runtime.logs.sink import FileSink


class Script:
    """A stop that runs the next step of the test whenever `follow` has nothing more to read."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self._steps = iter(steps)

    def wait(self, timeout: float) -> bool:
        assert timeout <= 0.2
        step = next(self._steps, None)
        if step is None:
            return True
        step()
        return False


def encoded(event: str, process: str = "web") -> bytes:
    at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return encode_line({"timestamp": at, "level": "info", "event": event, "process": process})


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def events(folder: Path, *steps: Callable[[], object], **wanted: Any) -> list[str]:
    records = follow(folder, filter=LogFilter(**wanted), stop=Script(*steps))
    return [record.event for record in records]


@pytest.fixture
def web(tmp_path: Path) -> Path:
    append(tmp_path / "web.log", encoded("past"))
    return tmp_path / "web.log"


def test_the_past_comes_first_and_then_what_is_written(web: Path) -> None:
    assert events(
        web.parent,
        lambda: append(web, encoded("a")),
        lambda: None,
        lambda: append(web, encoded("b") + encoded("c")),
    ) == ["past", "a", "b", "c"]


def test_a_line_is_yielded_when_it_is_complete(web: Path) -> None:
    data = encoded("in pieces")
    assert events(
        web.parent,
        lambda: append(web, data[:10]),
        lambda: append(web, data[10:-1]),
        lambda: append(web, data[-1:] + encoded("next")),
        lambda: append(web, encoded("never complete")[:-1]),
    ) == ["past", "in pieces", "next"]


def test_files_that_appear_later_are_followed_from_their_beginning(web: Path) -> None:
    worker = web.with_name("worker.log")
    assert events(
        web.parent,
        lambda: append(worker, encoded("a", "worker") + encoded("b", "worker")),
        lambda: append(web, encoded("c")),
    ) == ["past", "a", "b", "c"]


def test_the_folder_may_appear_later_too(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    sink = FileSink(folder / "web.log", max_bytes=1000, backups=1)
    assert events(folder, lambda: sink.write(encoded("a"))) == ["a"]


def test_the_lines_of_one_poll_are_in_the_order_of_time(web: Path) -> None:
    def write() -> None:
        first, second = encoded("first"), encoded("second")
        append(web, second)
        append(web.with_name("aaa.log"), first)
        append(web.with_name("zzz.log"), encoded("third"))

    assert events(web.parent, write) == ["past", "first", "second", "third"]


def test_rotations_between_two_polls_lose_and_repeat_nothing(web: Path) -> None:
    sink = FileSink(web, max_bytes=300, backups=50)

    def burst(first: int, count: int) -> Callable[[], None]:
        return lambda: [sink.write(encoded(str(n))) for n in range(first, first + count)] and None

    found = events(web.parent, burst(0, 1), burst(1, 7), lambda: None, burst(8, 30), burst(38, 2))
    assert found == ["past", *(str(number) for number in range(40))]
    assert web.with_name("web.log.10").exists()


def test_a_late_line_at_the_end_of_a_rotated_file_is_seen(web: Path) -> None:
    backup = web.with_name("web.log.1")

    def rotate() -> None:
        web.rename(backup)
        append(web, encoded("new"))

    assert events(web.parent, rotate, lambda: append(backup, encoded("late"))) == [
        "past",
        "new",
        "late",
    ]


def test_a_late_line_is_seen_when_many_files_have_been_rotated_meanwhile(web: Path) -> None:
    sink = FileSink(web, max_bytes=1, backups=100)

    def rotate_often() -> None:
        for number in range(60):
            sink.write(encoded(str(number)))

    held_up_at = web.with_name("web.log.60")
    found = events(web.parent, rotate_often, lambda: append(held_up_at, encoded("late")))
    assert found == ["past", *(str(number) for number in range(60)), "late"]


def test_an_emptied_file_is_read_from_its_beginning(web: Path) -> None:
    append(web, encoded("past") * 3)

    def empty() -> None:
        web.write_bytes(encoded("again"))

    assert events(web.parent, empty) == ["past"] * 4 + ["again"]


def test_a_deleted_file_does_not_bring_back_its_backups(web: Path) -> None:
    backup = web.rename(web.with_name("web.log.1"))
    os.utime(backup, (0, 0))  # so old that it is not kept open for late lines
    append(web, encoded("current"))

    def delete() -> None:
        web.unlink()

    assert events(web.parent, delete, lambda: None, lambda: append(web, encoded("new"))) == [
        "past",
        "current",
        "new",
    ]


def test_only_wanted_records_are_yielded(web: Path) -> None:
    wanted = encode_line({"event": "a", "function": "fib"})
    unwanted = encode_line({"event": "b", "function": "echo"})
    assert events(web.parent, lambda: append(web, wanted + unwanted), function="fib") == ["a"]


def test_old_files_that_were_passed_over_are_followed_all_the_same(web: Path) -> None:
    old = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    os.utime(web, (old, old))
    since = datetime.now(UTC)
    assert events(web.parent, lambda: None, lambda: append(web, encoded("new")), since=since) == [
        "new"
    ]


def test_an_event_stops_it_after_everything_before_was_yielded(web: Path) -> None:
    stop = threading.Event()
    records = follow(web.parent, stop=stop, poll_seconds=60)
    assert next(records).event == "past"

    found: list[str] = []
    thread = threading.Thread(target=lambda: found.extend(record.event for record in records))
    thread.start()
    append(web, encoded("last"))
    stop.set()
    thread.join(10)
    assert found == ["last"]


def test_it_can_be_left_at_any_time(web: Path) -> None:
    records: Iterator[object] = follow(web.parent, stop=threading.Event())
    next(records)
    records.close()  # type: ignore[attr-defined]
