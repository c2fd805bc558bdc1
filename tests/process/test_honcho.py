"""`honcho start`, as people run it: everything up, Ctrl-C, and up again."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.testing import Stack

PROJECT = Path(__file__).parents[2]
SAMPLE_FUNCTIONS = PROJECT / "tests" / "sample_functions"
HONCHO_KILLS_AFTER_SECONDS = 5


def as_on_a_terminal() -> None:
    """Take the signals that whoever runs the tests may have ignored: `nohup` does, and scripts."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


class Honcho:
    """`honcho start` of this project's Procfile, with the settings of a private stack."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._output = (stack.folder / "honcho.out").open("ab")
        self.process = subprocess.Popen(
            [str(Path(sys.executable).parent / "honcho"), "start"],
            cwd=PROJECT,
            env=stack.process_environment,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=as_on_a_terminal,  # noqa: PLW1509  no threads here
        )

    def interrupt(self) -> None:
        """Press Ctrl-C, and wait for the end."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(HONCHO_KILLS_AFTER_SECONDS + 5)
        self._output.close()

    def close(self) -> None:
        if self.process.poll() is None:
            self.interrupt()
        self._output.close()

    def output(self) -> str:
        return (self.stack.folder / "honcho.out").read_text(errors="replace")


@pytest.fixture
def stack() -> Iterator[Stack]:
    environment = {"EYAS_WORKERS": "1"}
    with Stack(functions_dir=SAMPLE_FUNCTIONS, environment=environment, processes=()) as stack:
        yield stack


@pytest.fixture
def honcho(stack: Stack) -> Iterator[Honcho]:
    honcho = Honcho(stack)
    try:
        stack.wait_until_ready()
        yield honcho
    finally:
        honcho.close()


def processes_of(stack: Stack) -> list[str]:
    """Return the commands of all living processes that have this stack's settings."""
    mark = f"EYAS_DATA_DIR={stack.process_environment['EYAS_DATA_DIR']}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc to find processes")
def test_ctrl_c_leaves_nothing_behind_and_starting_again_continues(
    stack: Stack, honcho: Honcho
) -> None:
    ids = [stack.request("/functions/sleep", body=b'{"seconds": 1}').body["id"] for _ in range(8)]
    stack.wait_for(
        lambda: stack.request(f"/invocations/{ids[0]}").body["status"] != "queued", "the first run"
    )
    assert len(processes_of(stack)) >= 6

    honcho.interrupt()

    assert honcho.process.returncode == 128 + signal.SIGINT
    stack.wait_for(
        lambda: processes_of(stack) == [], f"no process: {processes_of(stack)}", seconds=3
    )
    assert "Traceback" not in honcho.output()

    again = Honcho(stack)
    try:
        stack.wait_until_ready()
        records = [
            stack.request(f"/invocations/{i}", headers={"Prefer": "wait=40"}).body for i in ids
        ]
    finally:
        again.close()

    assert [record["status"] for record in records] == ["succeeded"] * 8


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc to find processes")
def test_ctrl_c_during_a_long_attempt_runs_it_again_later(
    stack: Stack, honcho: Honcho, tmp_path: Path
) -> None:
    marker = tmp_path / "starts"
    body = b'{"seconds": 8, "marker": "%s"}' % os.fsencode(marker)
    accepted = stack.request("/functions/sleep", body=body).body
    stack.wait_for(marker.exists, "the attempt to start")

    honcho.interrupt()

    stack.wait_for(lambda: processes_of(stack) == [], "no process", seconds=3)
    again = Honcho(stack)
    try:
        stack.wait_until_ready()
        record = stack.request(f"/invocations/{accepted['id']}", headers={"Prefer": "wait=40"}).body
    finally:
        again.close()
    assert (record["status"], record["attempt"]) == ("succeeded", 2)


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_a_terminal_that_is_closed_leaves_nothing_behind(
    stack: Stack, honcho: Honcho, tmp_path: Path
) -> None:
    marker = tmp_path / "starts"
    body = b'{"seconds": 8, "marker": "%s"}' % os.fsencode(marker)
    accepted = stack.request("/functions/sleep", body=body).body
    stack.wait_for(marker.exists, "the attempt to start")

    # What the kernel does then, to the foreground group of the terminal.
    os.killpg(honcho.process.pid, signal.SIGHUP)

    assert honcho.process.wait(5) == -signal.SIGHUP
    stack.wait_for(lambda: processes_of(stack) == [], "no process", seconds=5)
    again = Honcho(stack)
    try:
        stack.wait_until_ready()
        record = stack.request(f"/invocations/{accepted['id']}", headers={"Prefer": "wait=40"}).body
    finally:
        again.close()
    assert (record["status"], record["attempt"]) == ("succeeded", 2)


def test_the_console_is_for_people(stack: Stack, honcho: Honcho) -> None:
    stack.invoke("sleep", {"seconds": 0})

    stack.wait_for(lambda: "attempt.finished" in honcho.output(), "the attempt's line")
    for name in ("web", "worker", "scheduler", "flower", "broker"):
        assert re.search(rf"^\d\d:\d\d:\d\d {name}\.1 +\| ", honcho.output(), re.MULTILINE)
    assert "\x1b[" not in re.sub(r"\x1b\[\d*m", "", honcho.output())
    assert '{"timestamp"' not in honcho.output()
