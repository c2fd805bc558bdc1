"""`eyas tail` and `eyas top`: the commands that go on, as programs of their own."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from runtime.store import is_reachable
from runtime.testing import Stack
from tests.asking import accept
from tests.conftest import SAMPLE_FUNCTIONS
from tests.service.conftest import ActingWorker

PATIENCE_SECONDS = 20.0
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


class Command:
    """A running `eyas` command, and what it has printed so far."""

    def __init__(self, stack: Stack, *arguments: str, stdout: int = subprocess.PIPE) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "runtime.cli", *arguments, "--url", stack.url],
            env=stack.process_environment | {"PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        """Return the next line of the output."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def said(self) -> str:
        """Return the next line that is no output."""
        assert self.process.stderr is not None
        return self.process.stderr.readline().rstrip("\n")

    def interrupt(self) -> tuple[int, str]:
        """Press Ctrl-C; return the exit status and what else was printed."""
        self.process.send_signal(signal.SIGINT)
        rest, errors = self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode, (rest or "") + errors


@contextlib.contextmanager
def running(stack: Stack, *arguments: str, stdout: int = subprocess.PIPE) -> Iterator[Command]:
    command = Command(stack, *arguments, stdout=stdout)
    timer = threading.Timer(2 * PATIENCE_SECONDS, command.process.kill)
    timer.start()
    try:
        yield command
    finally:
        timer.cancel()
        command.process.kill()
        command.process.communicate()


def test_tail_prints_what_ends(web_stack: Stack, acting_worker: ActingWorker) -> None:
    with running(web_stack, "tail") as tail:
        assert tail.said() == "(listening; Ctrl-C ends it)"
        done = accept(web_stack, "echo", {"a": 1})
        acting_worker.succeed(1)
        assert re.fullmatch(
            rf"\d\d:\d\d:\d\d\.\d{{3}}  succeeded  echo  {done}  ran [\d.]+ m?s", tail.line()
        )
        accept(web_stack, "echo", {"a": 1})
        dead = acting_worker.give_up(error_type="Bad\x1b[2JError")
        assert re.search(rf"failed     echo  {dead}  ran .*  Bad\\x1b\[2JError: no$", tail.line())

        assert tail.interrupt() == (0, "")


def test_tail_prints_what_is_asked_for(web_stack: Stack, acting_worker: ActingWorker) -> None:
    with (
        running(web_stack, "tail", "--function", "echo", "--all", "--json") as every,
        running(web_stack, "tail", "--status", "failed") as failed,
    ):
        assert every.said().startswith("(listening")
        assert failed.said().startswith("(listening")
        accept(web_stack, "limited", {"number": 1})
        dead = acting_worker.give_up()
        done = accept(web_stack, "echo", {"a": 1})
        acting_worker.succeed(1)

        lines = [json.loads(every.line()) for _ in range(3)]
        assert dead in failed.line()
        assert [(one["id"], one["status"]) for one in lines] == [
            (done, "queued"),
            (done, "running"),
            (done, "succeeded"),
        ]
        assert failed.interrupt() == (0, "")


def test_tail_goes_on_when_web_or_broker_were_away() -> None:
    with (
        Stack(functions_dir=SAMPLE_FUNCTIONS, environment={"EYAS_WORKERS": "1"}) as stack,
        running(stack, "tail") as tail,
    ):
        assert tail.said().startswith("(listening")
        stack.stop("web")
        assert tail.said().startswith("(the stream has ended; trying again")
        stack.start("web")
        while (said := tail.said()) != "(listening again)":
            assert "no stack answers" in said
        stack.stop("broker")
        stack.start("broker")
        stack.wait_for(lambda: is_reachable(stack.redis_url), "the broker")
        assert tail.said() == "(what changed while the broker was away is not shown)"
        stack.wait_until_ready()
        done = accept(stack, "sleep", {"seconds": 0})
        assert done in tail.line()


def test_tail_ends_quietly_when_nobody_reads_it(
    web_stack: Stack, acting_worker: ActingWorker
) -> None:
    reading, writing = os.pipe()
    with running(web_stack, "tail", stdout=writing) as tail:
        os.close(writing)
        assert tail.said().startswith("(listening")
        os.close(reading)
        accept(web_stack, "echo", {"a": 1})
        acting_worker.succeed(1)

        assert tail.process.wait(PATIENCE_SECONDS) == 0
        assert tail.said() == ""


def test_top_prints_one_snapshot(web_stack: Stack, acting_worker: ActingWorker) -> None:
    for _ in range(3):
        accept(web_stack, "echo", {"a": 1})
    acting_worker.succeed(1)
    accept(web_stack, "limited", {"number": 1})

    # Without a terminal it is the same.
    for arguments in (("top", "--once"), ("top",)):
        with running(web_stack, *arguments) as top:
            lines, errors = top.process.communicate(timeout=PATIENCE_SECONDS)
            assert (top.process.returncode, errors) == (0, "")
        head, state, headings, *rows = lines.splitlines()

        assert head == f"eyas top  {web_stack.url}"
        assert re.match(r"queue 3 \(oldest .*\)  claimed 0  parked 0  delayed 0  workers 0", state)
        assert headings.split()[:4] == ["function", "acc/s", "fin/s", "fail/s"]
        found = {row.split()[0]: row.split()[1:] for row in rows}
        assert found["echo"][:7] == ["0", "0", "0", "2", "0", "0", "0"]
        assert "ms" in found["echo"]
        assert found["limited"] == ["0", "0", "0", "1", "0", "0", "0", "-", "-", "-", "-"]
        assert "\x1b" not in lines


class Terminal:
    """A terminal in which `eyas top` runs."""

    def __init__(self, stack: Stack, *, columns: int = 100, lines: int = 20) -> None:
        self.shown = ""
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            environment = stack.process_environment | {"TERM": "xterm"}
            for name in ("COLUMNS", "LINES"):
                environment.pop(name, None)
            arguments = [sys.executable, "-m", "runtime.cli", "top", "--url", stack.url]
            os.execve(sys.executable, arguments, environment)  # noqa: S606
        self.resize(columns, lines)
        self.mode = termios.tcgetattr(self.descriptor)

    def resize(self, columns: int, lines: int) -> None:
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, size)

    def read_until(self, is_there: Any) -> None:
        """Read what is drawn until something is."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_there(self.shown):
            assert time.monotonic() < deadline, self.shown
            if select.select([self.descriptor], [], [], 0.2)[0]:
                try:
                    self.shown += os.read(self.descriptor, 65536).decode()
                except OSError:  # it has ended
                    return

    def frames(self) -> list[list[str]]:
        """Return what was drawn, one list of lines each time, without what is no text."""
        return [
            [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line) for line in frame.split("\r\n")]
            for frame in self.shown.split("\x1b[H")[1:]
        ]

    def end(self) -> int:
        """Return the exit status, and read the rest."""
        self.read_until(lambda _: False)
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)


@contextlib.contextmanager
def terminal(stack: Stack) -> Iterator[Terminal]:
    opened = Terminal(stack)
    try:
        yield opened
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(opened.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(opened.pid, 0)
        os.close(opened.descriptor)


@pytest.mark.parametrize("how", ["q", "SIGINT", "SIGTERM"])
def test_top_draws_on_a_terminal_and_leaves_it_as_it_was(web_stack: Stack, how: str) -> None:
    with terminal(web_stack) as top:
        top.read_until(lambda shown: "echo" in shown)
        accept(web_stack, "echo", {"a": 1})
        top.read_until(lambda shown: "queue 1 (oldest" in shown)
        if how == "q":
            os.write(top.descriptor, b"q")
        else:
            os.kill(top.pid, getattr(signal, how))

        assert top.end() == (143 if how == "SIGTERM" else 0)
        assert top.shown.startswith(ENTER)
        assert top.shown.endswith(LEAVE)
        assert termios.tcgetattr(top.descriptor) == top.mode


def test_top_adapts_to_its_terminal_and_says_when_the_stack_is_away() -> None:
    with (
        Stack(functions_dir=SAMPLE_FUNCTIONS, environment={"EYAS_WORKERS": "1"}) as stack,
        terminal(stack) as top,
    ):
        top.read_until(lambda shown: "more" in shown)
        top.resize(40, 6)
        top.read_until(lambda _: len(top.frames()[-1]) == 6 and "more" in top.frames()[-1][-1])
        assert max(map(len, top.frames()[-1])) <= 40, top.frames()[-1]
        stack.stop("web")
        top.read_until(lambda shown: "no stack answers" in shown)
        stack.start("web")
        stack.wait_until_ready()
        # What is drawn first after it.
        top.read_until(lambda shown: "queue 0" in shown.rpartition("no stack answers")[2])
        os.write(top.descriptor, b"q")
        assert top.end() == 0
