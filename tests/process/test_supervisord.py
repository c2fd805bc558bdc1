"""The stack under supervisord: started, mended and stopped as a whole."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from runtime.testing import Stack

CONFIG = Path(__file__).parents[2] / "supervisord.conf"
BIN = Path(sys.executable).parent
PROGRAMS = ("broker", "flower", "scheduler", "web", "worker")


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A stack of which nothing runs yet, and a folder to run it in."""
    with Stack(functions_dir=tmp_path, processes=()) as stack:
        (stack.folder / "data").mkdir()
        yield stack
        supervisor_pid = pid_in(stack)
        if supervisor_pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(supervisor_pid, signal.SIGTERM)
        stack.wait_for(lambda: not processes_of(stack), "all processes to end")


def environment_of(stack: Stack) -> dict[str, str]:
    # Somebody else's `python` comes first on PATH: the project's own has to win.
    return stack.process_environment | {"PATH": "/usr/local/bin:/usr/bin:/bin"}


def pid_in(stack: Stack) -> int:
    try:
        return int((stack.folder / "data" / "supervisord.pid").read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return 0


def supervisorctl(stack: Stack, *words: str) -> str:
    done = subprocess.run(
        [BIN / "supervisorctl", "-c", CONFIG, *words],
        cwd=stack.folder,
        env=environment_of(stack),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout


def status(stack: Stack) -> Mapping[str, tuple[str, ...]]:
    """Return what `supervisorctl status` says of each program, in words."""
    rows = [line.split() for line in supervisorctl(stack, "status").splitlines()]
    return {name: tuple(words) for name, *words in rows}


def is_all_running(stack: Stack) -> bool:
    found = status(stack)
    return set(found) == set(PROGRAMS) and all(words[0] == "RUNNING" for words in found.values())


def program_pid(stack: Stack, program: str) -> int:
    return int(supervisorctl(stack, "pid", program))


def processes_of(stack: Stack) -> list[str]:
    """Return every process that lives with this stack's environment, however it was started."""
    mark = f"EYAS_LOG_DIR={stack.log_dir}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        # A process may end at any moment; one that has ended has an empty environment.
        with contextlib.suppress(OSError):
            if mark in (process / "environ").read_bytes().split(b"\0"):
                name = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found.append(f"{process.name} {name}")
    return found


def is_ready(stack: Stack) -> bool:
    return stack.request("/readyz").status == 200


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_killed_program_comes_back_and_a_stop_leaves_nothing(stack: Stack) -> None:
    output = stack.folder / "supervisord.out"
    with output.open("ab") as stdout:
        supervisord = subprocess.Popen(
            [BIN / "supervisord", "-c", CONFIG, "-n"],
            cwd=stack.folder,
            env=environment_of(stack),
            stdout=stdout,
            stderr=subprocess.STDOUT,
        )
    stack.wait_for(lambda: is_all_running(stack), "all programs to run")
    stack.wait_for(lambda: is_ready(stack), "the stack to be ready")

    killed = {program: program_pid(stack, program) for program in PROGRAMS}
    for pid in killed.values():
        os.kill(pid, signal.SIGKILL)
    stack.wait_for(
        lambda: (
            is_all_running(stack)
            and all(program_pid(stack, program) != pid for program, pid in killed.items())
        ),
        "all programs to run again",
    )
    stack.wait_for(lambda: is_ready(stack), "the stack to be ready again")

    supervisord.send_signal(signal.SIGTERM)
    assert supervisord.wait(30) == 0
    assert processes_of(stack) == []
    printed = output.read_text(encoding="utf-8")
    stopped = [line.split("stopped: ")[1] for line in printed.splitlines() if "stopped: " in line]
    assert [line.split()[0] for line in stopped] == [
        "flower",
        "web",
        "scheduler",
        "worker",
        "broker",
    ]
    assert all(line.endswith("(exit status 0)") for line in stopped), stopped
    assert "broker.ready" in printed, "what programs print is in supervisord's own output"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_as_a_daemon_it_is_controlled_through_a_socket_for_its_user_only(stack: Stack) -> None:
    subprocess.run(
        [BIN / "supervisord", "-c", CONFIG],
        cwd=stack.folder,
        env=environment_of(stack),
        check=True,
        timeout=30,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    stack.wait_for(lambda: set(status(stack)) == set(PROGRAMS), "the status of all programs")
    assert (stack.folder / "data" / "supervisor.sock").stat().st_mode & 0o777 == 0o700
    stack.wait_for((stack.log_dir / "broker.log").exists, "the broker to log to its own file")
    assert "Shut down" in supervisorctl(stack, "shutdown")
    stack.wait_for(lambda: not processes_of(stack), "all processes to end")
