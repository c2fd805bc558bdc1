import json
import os
import tracemalloc
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runtime.logs import files
from runtime.logs.reader import AmbiguousIdError, LogFilter, read

START = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)


def line(second: float, event: str = "x", **fields: Any) -> str:
    at = (START + timedelta(seconds=second)).isoformat(timespec="microseconds")
    head = {"timestamp": at.replace("+00:00", "Z"), "level": "info", "event": event}
    return json.dumps({**head, "process": "web", **fields}, separators=(",", ":"))


def write(path: Path, lines: Iterable[str | bytes]) -> None:
    as_bytes = [text.encode() if isinstance(text, str) else text for text in lines]
    path.write_bytes(b"".join(text + b"\n" for text in as_bytes))


def events(folder: Path, **options: Any) -> list[str]:
    return [record.event for record in read(folder, filter=LogFilter(**options))]


def test_all_files_and_their_backups_are_merged_by_time(tmp_path: Path) -> None:
    write(tmp_path / "web.log.2", [line(0, "a"), line(2, "c")])
    write(tmp_path / "web.log.1", [line(4, "e")])
    write(tmp_path / "web.log", [line(6, "g")])
    write(tmp_path / "worker.log.10", [line(1, "b")])
    write(tmp_path / "worker.log", [line(3, "d"), line(5, "f"), line(7, "h")])
    write(tmp_path / ".web.log.lock", ["no log"])
    write(tmp_path / "web.log.bak", ["no log"])
    (tmp_path / "folder.log").mkdir()
    assert events(tmp_path) == list("abcdefgh")


def test_the_files_of_one_process_alone(tmp_path: Path) -> None:
    write(tmp_path / "web.log", [line(0, "a")])
    write(tmp_path / "worker.log.1", [line(1, "b")])
    write(tmp_path / "worker.log", [line(2, "c")])
    write(tmp_path / "worker2.log", [line(3, "d")])
    assert events(tmp_path, process="worker") == ["b", "c"]
    assert events(tmp_path, process="scheduler") == []


def test_lines_of_several_writers_are_put_in_order(tmp_path: Path) -> None:
    write(tmp_path / "web.log.1", [line(1, "b"), line(0, "a"), line(3, "d")])
    write(tmp_path / "web.log", [line(2, "c"), line(5, "f"), line(4, "e")])
    assert events(tmp_path) == list("abcdef")


def test_files_that_are_rotated_while_they_are_looked_for_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "web.log.1", [line(0, "a")])
    write(tmp_path / "web.log", [line(1, "b")])
    look, late = files._status, iter(range(10))

    def look_and_rotate(path: Path) -> os.stat_result | None:
        if (number := next(late, None)) is not None:
            for old in range(number + 1, -1, -1):
                name = f"web.log.{old}" if old else "web.log"
                (tmp_path / name).rename(tmp_path / f"web.log.{old + 1}")
            write(tmp_path / "web.log", [line(2 + number, "late")])
        return look(path)

    monkeypatch.setattr(files, "_status", look_and_rotate)
    assert events(tmp_path)[:2] == ["a", "b"]


def test_no_folder_and_no_files_are_no_records(tmp_path: Path) -> None:
    assert events(tmp_path) == []
    assert events(tmp_path / "missing") == []


def test_a_record_has_its_fields_and_its_line(tmp_path: Path) -> None:
    text = line(0, "x", big=2**100, nested={"a": [1]})
    write(tmp_path / "web.log", [text])
    (record,) = read(tmp_path)
    assert record.timestamp == START
    assert (record.level, record.process) == ("info", "web")
    assert record.fields["big"] == 2**100
    assert record.line == text.encode()


def test_the_memory_needed_does_not_grow_with_the_files(tmp_path: Path) -> None:
    write(tmp_path / "web.log", [line(n / 1000, padding="x" * 300) for n in range(10_000)])
    tracemalloc.start()
    count = sum(1 for _ in read(tmp_path))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 10_000
    assert peak_bytes < (tmp_path / "web.log").stat().st_size / 1.5


@pytest.mark.parametrize(
    "text",
    [
        b"Segmentation fault",
        b'{"timestamp":"2026-01-31T12:30:0',
        b"[1, 2]",
        b'"text"',
        b"\xff\xfe\x00",
        b'{"a":"\xff"}',
        b'{"a": 1e999999}x',
        b'{"a":' + b"9" * 5000 + b"}",
        b"[" * 100_000,
    ],
    ids=range(9),
)
def test_text_that_is_no_line_of_ours_is_an_event_in_its_place(tmp_path: Path, text: bytes) -> None:
    write(tmp_path / "flower.log", [line(0, "a"), text, line(2, "b")])
    write(tmp_path / "web.log", [line(1, "c")])
    first, foreign, *others = read(tmp_path)
    assert foreign.event == text.decode("utf-8", "backslashreplace")
    assert foreign.timestamp == first.timestamp
    assert foreign.process == "flower"
    assert json.loads(foreign.line)["event"] == foreign.event
    assert [record.event for record in others] == ["c", "b"]


@pytest.mark.parametrize(
    "fields",
    [{"timestamp": 5}, {"timestamp": "soon"}, {"level": None}, {"event": 7}, {"process": []}],
    ids=str,
)
def test_json_with_other_kinds_of_values_is_read_as_well(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    write(tmp_path / "web.log", [line(0, "a"), json.dumps({"event": "b", **fields})])
    assert len(events(tmp_path, level="info")) == 2


def test_a_timestamp_without_a_zone_is_utc(tmp_path: Path) -> None:
    write(tmp_path / "web.log", ['{"timestamp": "2026-01-31T12:30:00", "event": "x"}'])
    (record,) = read(tmp_path)
    assert record.timestamp == START


def test_a_line_glued_to_a_torn_one_is_saved(tmp_path: Path) -> None:
    torn = line(0, "torn")[:40]
    write(tmp_path / "web.log", [torn + line(1, "whole", id="x")])
    first, second = read(tmp_path)
    assert first.event == torn
    assert second.event == "whole"
    assert second.line == line(1, "whole", id="x").encode()


def test_a_half_written_last_line_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "web.log").write_text(line(0, "a") + "\n" + line(1, "b")[:30])
    (tmp_path / "worker.log").write_text(line(2, "c") + "\n" + line(3, "whole but for the newline"))
    assert events(tmp_path) == ["a", "c", "whole but for the newline"]


def test_blank_lines_are_nothing(tmp_path: Path) -> None:
    write(tmp_path / "web.log", ["", line(0, "a"), " "])
    assert events(tmp_path) == ["a"]


def test_records_are_filtered(tmp_path: Path) -> None:
    write(
        tmp_path / "web.log",
        [
            line(0, "a", function="fib", level="debug"),
            line(1, "b", function="fib", level="error"),
            line(2, "c", function="echo", level="warning"),
            line(3, "d", function="fib", level="critical"),
            line(4, "e", note="fib", level="unheard of"),
        ],
    )
    assert events(tmp_path, function="fib") == list("abd")
    assert events(tmp_path, level="warning") == list("bcd")
    assert events(tmp_path, level="debug") == list("abcde")
    assert events(tmp_path, since=START + timedelta(seconds=2)) == list("cde")
    assert events(tmp_path, since=START + timedelta(seconds=1), function="fib") == list("bd")


def test_files_last_written_before_the_time_asked_for_are_not_read(tmp_path: Path) -> None:
    write(tmp_path / "web.log.1", [line(10, "in an old file")])
    os.utime(tmp_path / "web.log.1", (START.timestamp() - 1, START.timestamp() - 1))
    write(tmp_path / "web.log", [line(10, "in a new file")])
    assert events(tmp_path, since=START) == ["in a new file"]


@pytest.fixture
def ids(tmp_path: Path) -> Path:
    write(
        tmp_path / "web.log",
        [
            line(0, "a", request_id="req-00000001", invocation_id="1b9d6bcd-bbfd"),
            line(1, "b", request_id="req-00000002"),
            line(2, "c", invocation_id="1b9d6bcd"),
            line(3, "d", other_id="1b9d6bcd-bbfd"),
            line(4, "e", invocation_id="an id with spaces äöü"),
        ],
    )
    write(tmp_path / "worker.log", [line(5, "f", invocation_id="1b9d6bcd-bbfd")])
    return tmp_path


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        ("1b9d6bcd-bbfd", "af"),
        ("1b9d6bcd-", "af"),
        ("1b9d6bcd", "c"),
        ("1b9d6bc", ""),
        ("req-00000002", "b"),
        ("an id with sp", "e"),
        ("an id with spaces ä", "e"),
        ("nothing like it", ""),
        (".*", ""),
    ],
)
def test_an_id_is_found_whole_or_by_its_beginning(
    ids: Path, identifier: str, expected: str
) -> None:
    assert events(ids, id=identifier) == list(expected)


def test_a_whole_id_is_not_taken_for_the_beginning_of_another(ids: Path) -> None:
    assert events(ids, id="1b9d6bcd-bb", is_whole_id=True) == []


def test_the_beginning_of_several_ids_is_refused(ids: Path) -> None:
    with pytest.raises(AmbiguousIdError) as raised:
        events(ids, id="req-0000")
    assert str(raised.value) == (
        "more than one id begins with 'req-0000': req-00000001, req-00000002. Give more of it"
    )
