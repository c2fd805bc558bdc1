"""`eyas tail`: a command that goes on, as a program of its own."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

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
