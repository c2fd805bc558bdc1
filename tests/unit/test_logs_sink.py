import fcntl
import json
import threading
from pathlib import Path

import pytest

from runtime.logs.reader import read
from runtime.logs.sink import FileSink
from tests.processes import largest_file


class Reports(list[str]):
    def __call__(self, message: str) -> None:
        self.append(message)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "web.log"


@pytest.fixture
def reports() -> Reports:
    return Reports()


def make(path: Path, reports: Reports, *, max_bytes: int = 10**6, backups: int = 3) -> FileSink:
    return FileSink(path, max_bytes=max_bytes, backups=backups, report=reports)


def line(number: int, *, padding: int = 0) -> bytes:
    fields = {"timestamp": "2026-01-31T12:30:00.000000Z", "event": f"e{number}"}
    return json.dumps({**fields, "padding": "x" * padding}, separators=(",", ":")).encode() + b"\n"


def test_lines_are_appended_and_the_folder_is_made(path: Path, reports: Reports) -> None:
    assert make(path, reports).write(b"one\n")
    assert make(path, reports).write(b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"
    assert reports == []


def test_rotation_shifts_the_backups_and_drops_the_oldest(path: Path, reports: Reports) -> None:
    sink = make(path, reports, max_bytes=10, backups=2)
    for number in range(4):
        sink.write(b"line-%d\n" % number)
    assert path.read_bytes() == b"line-3\n"
    assert path.with_name("web.log.1").read_bytes() == b"line-2\n"
    assert path.with_name("web.log.2").read_bytes() == b"line-1\n"
    assert {file.name for file in path.parent.iterdir()} == {
        "web.log",
        "web.log.1",
        "web.log.2",
        ".web.log.lock",
    }


def test_a_line_longer_than_a_file_may_be_gets_a_file_of_its_own(
    path: Path, reports: Reports
) -> None:
    sink = make(path, reports, max_bytes=10)
    sink.write(b"x" * 50 + b"\n")
    sink.write(b"y\n")
    assert path.read_bytes() == b"y\n"
    assert path.with_name("web.log.1").stat().st_size == 51


def test_a_file_that_another_process_rotated_is_left(path: Path, reports: Reports) -> None:
    first, second = (make(path, reports, max_bytes=10) for _ in range(2))
    first.write(b"line-1\n")
    second.write(b"line-2\n")
    first.write(b"33\n")
    assert path.read_bytes() == b"line-2\n33\n"
    assert path.with_name("web.log.1").read_bytes() == b"line-1\n"


def test_a_file_that_logrotate_renamed_or_somebody_deleted_is_left(
    path: Path, reports: Reports
) -> None:
    sink = make(path, reports)
    sink.write(b"one\n")
    path.rename(path.with_name("web.log-20260131"))
    sink.write(b"two\n")
    path.unlink()
    sink.write(b"three\n")
    assert path.read_bytes() == b"three\n"
    assert path.with_name("web.log-20260131").read_bytes() == b"one\n"
    assert reports == []


def test_of_two_that_find_the_file_too_large_only_one_rotates(path: Path, reports: Reports) -> None:
    faster = make(path, reports, max_bytes=10)

    class Slower(FileSink):
        def _take_rotation_lock(self, *, may_wait: bool) -> None:
            faster.write(b"line-2\n")
            super()._take_rotation_lock(may_wait=may_wait)

    faster.write(b"line-1\n")
    Slower(path, max_bytes=10, backups=3, report=reports).write(b"line-3\n")
    assert path.read_bytes() == b"line-2\nline-3\n"
    assert path.with_name("web.log.1").read_bytes() == b"line-1\n"
    assert not path.with_name("web.log.2").exists()


def test_who_does_not_get_the_lock_writes_without_waiting(path: Path, reports: Reports) -> None:
    sink = make(path, reports, max_bytes=10)
    sink.write(b"line-1\n")
    with path.with_name(".web.log.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sink.write(b"line-2\n")
        assert path.read_bytes() == b"line-1\nline-2\n"
    sink.write(b"line-3\n")
    assert path.read_bytes() == b"line-3\n"
    assert reports == []


def test_a_rotation_that_fails_is_reported_and_the_line_is_written(
    path: Path, reports: Reports
) -> None:
    sink = make(path, reports, max_bytes=10, backups=1)
    path.with_name("web.log.1").mkdir(parents=True)  # no file can be renamed to a folder
    for number in range(3):
        assert sink.write(b"line-%d\n" % number)
    assert path.read_bytes() == b"line-0\nline-1\nline-2\n"
    (report,) = reports
    assert report.startswith(f"cannot rotate {path}: ")


def test_a_full_disk_is_reported_once_and_torn_lines_stay_alone(
    path: Path, reports: Reports
) -> None:
    sink = make(path, reports)
    sink.write(line(0))
    with largest_file(len(line(0)) + 20):
        assert not sink.write(line(1))
        assert not sink.write(line(2))
    assert sink.write(line(3))
    assert sink.write(line(4))

    assert path.stat().st_size > 3 * len(line(0)) + 20  # the part of line 1 is there
    assert [r.event for r in read(path.parent)] == ["e0", line(1)[:20].decode(), "e3", "e4"]
    failed, again = reports
    assert failed == (
        f"cannot write {path}: File too large. "
        "Log lines go only to the console until it works again"
    )
    assert again == f"writing {path} again; it misses 2 lines"


def test_lines_that_come_together_are_missed_one_by_one(path: Path, reports: Reports) -> None:
    sink = FileSink(
        path,
        max_bytes=10**6,
        backups=1,
        report=reports,
        resumed=lambda count: b"missed %d\n" % count,
    )
    lines = [line(number) for number in range(5)]
    with largest_file(2 * len(line(0)) + 20):
        assert sink.write_all(lines) == 2
        assert sink.write_all(lines) == 0
    assert sink.write_all(lines) == 5
    assert [r.event for r in read(path.parent)] == [
        "e0",
        "e1",
        line(2)[:20].decode(),
        *(f"e{number}" for number in range(5)),
        "missed 8",
    ]
    assert reports[-1] == f"writing {path} again; it misses 8 lines"


def test_a_disk_that_is_full_at_the_end_of_a_line_tears_none(path: Path, reports: Reports) -> None:
    sink = make(path, reports)
    with largest_file(2 * len(line(0))):
        assert sink.write_all([line(0), line(1), line(2)]) == 2
    sink.write(line(3))
    assert path.read_bytes() == line(0) + line(1) + line(3)


def test_lines_that_come_together_go_into_one_file(path: Path, reports: Reports) -> None:
    sink = make(path, reports, max_bytes=40)
    for number in range(4):
        assert sink.write_all([b"line-%d\n" % number] * 3) == 3
    assert path.read_bytes() == b"line-3\n" * 3
    assert path.with_name("web.log.1").read_bytes() == b"line-2\n" * 3


def test_a_device_without_space_is_left_for_a_file(path: Path, reports: Reports) -> None:
    path.parent.mkdir()
    path.symlink_to("/dev/full")
    sink = make(path, reports)
    assert not sink.write(b"one\n")
    path.unlink()
    assert sink.write(b"two\n")
    assert path.read_bytes() == b"two\n"
    assert "No space left on device" in reports[0]


def test_the_count_of_missed_lines_goes_into_the_file(path: Path, reports: Reports) -> None:
    sink = FileSink(
        path,
        max_bytes=1000,
        backups=1,
        report=reports,
        resumed=lambda count: b"missed %d\n" % count,
    )
    path.mkdir(parents=True)
    sink.write(b"one\n")
    path.rmdir()
    sink.write(b"two\n")
    assert path.read_bytes() == b"two\nmissed 1\n"


def test_nothing_is_raised_where_stderr_is_closed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr", None)
    path.mkdir(parents=True)
    assert not FileSink(path, max_bytes=10, backups=1).write(b"x\n")


def test_a_closed_sink_opens_again(path: Path, reports: Reports) -> None:
    sink = make(path, reports)
    sink.write(b"one\n")
    sink.close()
    sink.close()
    sink.write(b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"


def test_a_relative_path_survives_a_change_of_folder(
    tmp_path: Path, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sink = make(Path("logs/web.log"), reports)
    monkeypatch.chdir("/")
    sink.write(b"one\n")
    assert (tmp_path / "logs" / "web.log").read_bytes() == b"one\n"


def test_a_child_does_not_wait_for_a_lock_that_a_thread_of_its_parent_held(
    path: Path, reports: Reports
) -> None:
    sink = make(path, reports)
    is_held, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with sink._lock:
            is_held.set()
            may_end.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    is_held.wait(10)
    sink.renew_in_child()
    assert sink.write(b"one\n")
    may_end.set()
    thread.join()


def test_threads_lose_nothing_across_rotations(path: Path, reports: Reports) -> None:
    sink = make(path, reports, max_bytes=2_000, backups=200)

    def write(writer: int) -> None:
        for number in range(500):
            sink.write(b"%d %d\n" % (writer, number))

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    files = path.parent.glob("web.log*")
    written = [line for file in files for line in file.read_bytes().splitlines(keepends=True)]
    assert sorted(written) == sorted(b"%d %d\n" % (w, n) for w in range(4) for n in range(500))
