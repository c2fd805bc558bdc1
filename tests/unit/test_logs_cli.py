import json
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runtime.cli.logs import logs
from runtime.logs.encode import encode_line


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EYAS_LOG_DIR", str(tmp_path))
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(logs, arguments)


def write(
    folder: Path,
    event: str,
    *,
    age_seconds: float = 0,
    now: datetime | None = None,
    **fields: object,
) -> bytes:
    at = (now or datetime.now(UTC)) - timedelta(seconds=age_seconds)
    head = {"timestamp": at.isoformat(timespec="microseconds").replace("+00:00", "Z")}
    line = encode_line({**head, "level": "info", "event": event, "process": "web", **fields})
    with (folder / "web.log").open("ab") as file:
        file.write(line)
    return line


def test_lines_are_for_people(folder: Path) -> None:
    write(folder, "attempt.finished", function="fib", invocation_id="1b9d6bcd-bbfd")
    result = run()
    assert result.exit_code == 0
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d\.\d{3}  web        info      attempt\.finished  fib  1b9d6bcd\n",
        result.output,
    )


def test_json_is_what_is_in_the_files(folder: Path) -> None:
    first = write(folder, "a", big=2**100)
    (folder / "flower.log").write_text("some text\n")
    *_, text = sorted(run("--json").stdout_bytes.splitlines(), key=lambda x: b"some text" in x)
    assert first in run("--json").stdout_bytes
    assert json.loads(text)["event"] == "some text"


def test_options_choose_lines(folder: Path) -> None:
    write(folder, "old", age_seconds=7200, function="fib")
    write(folder, "recent", age_seconds=60, function="fib", level="error")
    write(folder, "mine", invocation_id="1b9d6bcd-bbfd")

    def events(*arguments: str) -> list[str]:
        lines = run("--json", *arguments).stdout_bytes.splitlines()
        return [json.loads(line)["event"] for line in lines]

    assert events() == ["old", "recent", "mine"]
    assert events("--function", "fib") == ["old", "recent"]
    assert events("--level", "WARNING") == ["recent"]
    assert events("--id", "1b9d6bcd") == ["mine"]
    assert events("--since", "90s") == ["recent", "mine"]
    assert events("--since", "1h") == ["recent", "mine"]
    assert events("--since", "1d") == ["old", "recent", "mine"]
    assert events("--since", (datetime.now(UTC) + timedelta(hours=1)).isoformat()) == []


def test_another_day_is_announced(folder: Path) -> None:
    write(folder, "old", age_seconds=3 * 86400)
    write(folder, "older", age_seconds=3 * 86400)
    write(folder, "new")
    headings = [line for line in run().output.splitlines() if line.startswith("---")]
    assert len(headings) == 2
    assert headings[1].endswith(f"{datetime.now().astimezone():%Y-%m-%d} ---")


@pytest.mark.parametrize("when", ["10", "10 parsecs", "yesterday", "", "9" * 30 + "d", "-1s"])
def test_a_time_that_is_none_is_explained(folder: Path, when: str) -> None:
    write(folder, "x")
    result = run("--since", when)
    assert result.exit_code == 2
    assert "neither a length of time such as 30s, 10m, 2h or 1d nor a time" in result.output
    assert "Traceback" not in result.output


def test_an_empty_folder_is_explained(folder: Path) -> None:
    result = run()
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: no log files in {folder}. ")
    assert len(result.output.splitlines()) == 1


def test_an_ambiguous_id_is_one_line(folder: Path) -> None:
    write(folder, "a", invocation_id="1b9d6bcd-1")
    write(folder, "b", invocation_id="1b9d6bcd-2")
    result = run("--id", "1b9d6bcd")
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "Error: more than one id begins with '1b9d6bcd': 1b9d6bcd-1, 1b9d6bcd-2. Give more of it"
    ]


def test_bad_settings_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EYAS_LOG_LEVEL", "loud")
    monkeypatch.setenv("EYAS_LOG_BACKUPS", "many")
    result = run()
    assert result.exit_code == 1
    assert len(result.output.splitlines()) == 1
    assert "EYAS_LOG_LEVEL" in result.output
    assert "EYAS_LOG_BACKUPS" in result.output


def test_a_folder_that_is_a_file_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "file").touch()
    monkeypatch.setenv("EYAS_LOG_DIR", str(folder / "file"))
    result = run()
    assert result.exit_code == 1
    assert len(result.output.splitlines()) == 1
    assert "Not a directory" in result.output


def test_help_says_what_one_can_do() -> None:
    result = run("--help")
    assert "eyas logs --follow " in result.output
    assert "EYAS_LOG_DIR" in result.output
    assert all(len(line) <= 80 for line in result.output.splitlines())


def test_lines_are_grouped_by_invocation(folder: Path) -> None:
    now = datetime.now(UTC)
    write(folder, "a.first", now=now, age_seconds=9, function="fib", invocation_id="id-a")
    write(folder, "b.first", age_seconds=8, function="pay", invocation_id="id-\x1b[31mb")
    write(folder, "web.listening", age_seconds=7)
    write(
        folder,
        "a.second",
        now=now,
        age_seconds=6.5,
        function="fib",
        invocation_id="id-a",
        words=3,
    )

    result = run("--group")

    blocks = result.output.strip().split("\n\n")
    first, second, others = (block.split("\n") for block in blocks)
    assert re.fullmatch(r"id-a  fib  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", first[0])
    assert re.fullmatch(r"  +\+0 ms  web +info +a\.first", first[1])
    assert re.fullmatch(r"  +\+2\.5 s  web +info +a\.second  words=3", first[2])
    assert second[0].startswith("id-\\x1b[31mb  pay  ")
    assert others[0].startswith("of no invocation  ")
    assert "web.listening" in others[1]


@pytest.mark.parametrize("option", ["--follow", "--json"])
def test_groups_are_not_for_what_goes_on(folder: Path, option: str) -> None:
    result = run("--group", option)

    assert result.exit_code == 2
    assert "--group goes neither with --follow nor with --json" in result.output


@pytest.mark.parametrize(
    "timestamp",
    [
        "0001-01-01T00:00:00+14:00",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00",
        "9999-12-31T23:59:59-14:00",
        "9999-12-31T23:59:59.999999Z",
    ],
)
@pytest.mark.parametrize("arguments", [(), ("--group",), ("--json",), ("--since", "1h")])
@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Pacific/Kiritimati"])
def test_a_time_that_is_too_far_away_is_none(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    timestamp: str,
    arguments: tuple[str, ...],
    zone: str,
) -> None:
    (folder / "web.log").write_text(f'{{"timestamp":"{timestamp}","event":"too far"}}\n')
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        result = run(*arguments)
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()

    assert result.exit_code == 0, result.exception
    assert "too far" in result.output


def test_json_has_escapes_in_place_of_what_is_not_printable(folder: Path) -> None:
    # Between tokens JSON has blanks of its own.
    line = '{"event":\r"\x7f\x9b31m\u202e\U000e0001 \u00fc \\u001b",\t"level":"info"}\n'
    (folder / "web.log").write_text(line)

    shown = run("--json").stdout_bytes.decode()

    assert shown.rstrip("\n").isprintable()
    assert "\u00fc" in shown
    assert json.loads(shown) == json.loads(line)
