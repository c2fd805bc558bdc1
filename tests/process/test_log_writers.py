"""Several real processes write, rotate and read the same log files at once."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from runtime.logs.reader import follow, read

LINE_COUNT = 5_000

# argv: folder, writer's number, lines, how many children to fork half-way, lines of a turn (0: each
# line is written at once).
WRITER = """
import os, sys
from dataclasses import replace
from pathlib import Path

import structlog

from runtime import logs
from runtime.settings import Settings

folder, (writer, line_count, child_count, turn) = Path(sys.argv[1]), map(int, sys.argv[2:])
settings = replace(
    Settings.from_environment({}), log_dir=folder, log_max_bytes=200_000, log_backups=1_000
)
logs.configure("web", settings, console=None)
called_soon = []
if turn:
    logs.write_by_turns(called_soon.append)
log = structlog.get_logger()
children = []

def write(writer, numbers):
    for number in numbers:
        log.info("line", writer=writer, number=number, padding="x" * (100, 8_800)[number % 2])
        if turn and number % turn == turn - 1:
            while called_soon:
                called_soon.pop()()

write(writer, range(line_count // 2))
for child in range(1, child_count + 1):
    if (pid := os.fork()) == 0:
        write(writer + child, range(line_count))
        os._exit(0)
    children.append(pid)
write(writer, range(line_count // 2, line_count))
sys.exit(any(os.waitpid(pid, 0)[1] for pid in children))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    shutil.rmtree(tmp_path)  # these are large, and pytest keeps folders


def start(
    folder: Path, writer: int, *, child_count: int = 0, turn: int = 0
) -> "subprocess.Popen[bytes]":
    arguments = [str(number) for number in (writer, LINE_COUNT, child_count, turn)]
    return subprocess.Popen([sys.executable, "-c", WRITER, str(folder), *arguments])


def finish(writers: Iterable["subprocess.Popen[bytes]"]) -> None:
    for writer in writers:
        assert writer.wait(60) == 0


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def key(fields: Mapping[str, Any]) -> tuple[int, int]:
    return fields["writer"], fields["number"]


def complete_lines(folder: Path) -> Iterator[bytes]:
    # From the youngest on: a file that is renamed meanwhile is met twice, but not missed.
    for name in ["web.log", *(f"web.log.{number}" for number in range(1, 10))]:
        with suppress(FileNotFoundError):
            text = (folder / name).read_bytes()
            yield from text[: text.rfind(b"\n") + 1].splitlines()  # the last may be half written


def assert_complete(numbers: dict[int, list[int]]) -> None:
    assert sorted(numbers) == [0, 1, 2, 3]
    for found in numbers.values():
        assert len(found) == LINE_COUNT
        assert sorted(found) == list(range(LINE_COUNT))


@pytest.mark.parametrize("turns", [(0, 0, 0, 0), (1, 3, 50, 2_000), (0, 0, 7, 7)], ids=str)
def test_independent_writers_lose_and_break_no_line(folder: Path, turns: tuple[int, ...]) -> None:
    finish([start(folder, number, turn=turn) for number, turn in enumerate(turns)])

    numbers = defaultdict(list)
    files = list(folder.glob("web.log*"))
    for file in files:
        for line in file.read_bytes().splitlines():
            fields = json.loads(line)
            numbers[fields["writer"]].append(fields["number"])
    assert_complete(numbers)
    assert len(files) > 50  # a turn of 2,000 lines makes one large file


@pytest.mark.parametrize("turn", [0, 7])
def test_forked_writers_lose_nothing_while_others_read_and_follow(folder: Path, turn: int) -> None:
    followed: dict[int, list[int]] = defaultdict(list)
    stop = threading.Event()

    def collect() -> None:
        for record in follow(folder, stop=stop, poll_seconds=0.02):
            followed[record.fields["writer"]].append(record.fields["number"])

    follower = threading.Thread(target=collect)
    follower.start()
    writer = start(folder, 0, child_count=3, turn=turn)
    wait_for((folder / "web.log.5").exists)

    # A reader in the middle of it finds everything that was there before, and nothing twice.
    # One look may see little, as a file that is renamed in step with it is met again and again.
    before: set[tuple[int, int]] = set()
    deadline = time.monotonic() + 30
    while len(before) <= 100:
        assert time.monotonic() < deadline
        before |= {key(json.loads(line)) for line in complete_lines(folder)}
    found = [key(record.fields) for record in read(folder)]
    assert before <= set(found)
    assert len(set(found)) == len(found)

    finish([writer])
    stop.set()
    follower.join(60)
    assert_complete(followed)
    pids = {record.fields["pid"] for record in read(folder)}
    assert len(pids) == 4


def test_killed_writers_break_no_line_of_others(folder: Path) -> None:
    writers = [start(folder, number) for number in range(3)]
    wait_for((folder / "web.log.3").exists)
    writers[0].kill()
    writers[0].wait(10)
    finish(writers[1:])

    numbers = defaultdict(list)
    for record in read(folder):
        if "writer" in record.fields:
            numbers[record.fields["writer"]].append(record.fields["number"])
    assert numbers[1] == numbers[2] == list(range(LINE_COUNT))
    assert numbers[0] == list(range(len(numbers[0])))


FORK_WHILE_LOCKED = """
import os, sys, threading
from pathlib import Path
from runtime.logs.sink import FileSink

sink = FileSink(Path(sys.argv[1]) / "web.log", max_bytes=10**6, backups=1)
is_held = threading.Event()

def hold():
    with sink._lock:
        is_held.set()
        threading.Event().wait()

threading.Thread(target=hold, daemon=True).start()
is_held.wait()
if os.fork() == 0:
    sink.write(b"from the child\\n")
    os._exit(0)
os._exit(os.wait()[1])
"""


def test_a_child_forked_while_a_thread_is_logging_can_log(folder: Path) -> None:
    subprocess.run([sys.executable, "-c", FORK_WHILE_LOCKED, folder], timeout=10, check=True)
    assert (folder / "web.log").read_bytes() == b"from the child\n"


@pytest.fixture
def eyas(folder: Path) -> Callable[..., "subprocess.Popen[bytes]"]:
    lines = (
        f'{{"timestamp":"2026-01-31T12:30:{second:02}.000000Z","event":"e{second}"}}\n'
        for second in range(60)
    )
    (folder / "web.log").write_text("".join(lines))

    def start_eyas(*arguments: str, **options: Any) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "runtime.cli", "logs", *arguments],
            env={**os.environ, "EYAS_LOG_DIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )

    return start_eyas


def test_following_ends_quietly_when_interrupted(
    eyas: Callable[..., "subprocess.Popen[bytes]"], folder: Path
) -> None:
    with eyas("--follow", "--json") as process:
        assert process.stdout is not None
        for second in range(60):
            assert json.loads(process.stdout.readline())["event"] == f"e{second}"
        with (folder / "web.log").open("a") as file:
            file.write('{"event":"new"}\n')
        assert json.loads(process.stdout.readline())["event"] == "new"
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=10)
    assert (rest, errors) == (b"", b"")
    assert process.returncode == 130


@pytest.mark.parametrize("arguments", [("--follow",), ()], ids=str)
def test_a_closed_pipe_ends_it_quietly(
    eyas: Callable[..., "subprocess.Popen[bytes]"], arguments: tuple[str, ...]
) -> None:
    # Nothing more is logged: a follower has to notice by itself that nobody reads it.
    with eyas(*arguments) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(10) == 0
        assert process.stderr.read() == b""
