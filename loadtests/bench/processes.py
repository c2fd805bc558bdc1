"""Processes of contenders: each in a session of its own, and all gone at the end."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

PROJECT = Path(__file__).parents[2]
# Environments of the peers; some of them need an older redis-py than the others do.
PEERS, PEERS_REDIS5 = ".venv-bench", ".venv-bench-redis5"
_STOP_SECONDS = 15.0
_START_SECONDS = 40.0
_POLL_SECONDS = 0.01
_OUTPUT_CHARACTERS = 3000
# Settings of the surroundings must not reach a private stack.
_FOREIGN = ("EYAS_", "HONCHO_", "SUPERVISOR_", "REDIS_URL", "PORT", "CELERY_", "BENCH_")


class BrokenError(Exception):
    """A contender did not do what it should; the message says what happened."""


class Processes:
    """A private folder, and what was started with it; a context manager.

    Processes are stopped in the opposite order, with SIGTERM, and after 15 s with SIGKILL.
    Whatever they started themselves is killed too, by its id.
    """

    def __init__(self) -> None:
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.folder = Path()

    def __enter__(self) -> Self:
        # Short: it may hold a unix socket, whose path must fit 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        with contextlib.ExitStack() as each:  # one that does not stop must not spare the others
            each.callback(shutil.rmtree, self.folder, ignore_errors=True)
            for name in list(self.running):
                each.callback(self.stop, name)

    def start(
        self,
        name: str,
        command: Sequence[Any],
        environment: Mapping[str, str] | None = None,
        *,
        project: Path = PROJECT,
    ) -> int:
        """Start a process, of strings and paths, in a project's folder; return its id."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)}
        with (self.folder / f"{name}.out").open("ab") as output, _uninterrupted():
            self.running[name] = subprocess.Popen(
                command,
                cwd=project,
                env=inherited | {"PYTHONPATH": str(project)} | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self.running[name].pid

    def stop(self, name: str) -> None:
        """Stop a process and whatever it started."""
        process = self.running.pop(name)
        family = family_of(process.pid)
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait()

    def interrupt(self, name: str) -> None:
        """Interrupt the process group of a process, as a terminal does, and wait for its end."""
        process = self.running[name]
        os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        self.stop(name)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Let none of them run meanwhile, so that nothing takes from what else is measured."""
        everyone = [one for process in self.running.values() for one in family_of(process.pid)]
        for one in everyone:
            one.suspend()
        try:
            yield
        finally:
            for one in everyone:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.resume()

    def pids(self, name: str) -> list[int]:
        """Return the ids of a process and of whatever it started."""
        return [one.pid for one in family_of(self.running[name].pid)]

    def wait_for(
        self, is_true: Callable[[], bool], what: str, *, seconds: float = _START_SECONDS
    ) -> None:
        """Return when a condition holds. Raises `BrokenError` if it does not, or a process ends."""
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(OSError):
                if is_true():
                    return
            ended = [name for name, process in self.running.items() if process.poll() is not None]
            if ended:
                raise BrokenError(f"{ended[0]} ended before {what}\n{self.output(ended[0])}")
            if time.monotonic() > deadline:
                raise BrokenError(f"waited {seconds:g} s for {what}\n{self.output()}")
            time.sleep(_POLL_SECONDS)

    def output(self, name: str = "*") -> str:
        """Return the end of what processes printed."""
        texts = sorted(self.folder.glob(f"{name}.out"))
        ends = [(p.stem, p.read_text(errors="replace")[-_OUTPUT_CHARACTERS:]) for p in texts]
        return "\n".join(f"--- {stem}\n{text}" for stem, text in ends)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold signals back until the end: between a fork and its return, nobody knows the child.

    They are not blocked, as the child would inherit that.
    """
    held: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _frame: held.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for each in held:
            signal.raise_signal(each)


def family_of(pid: int) -> list[psutil.Process]:
    """Return a process and all that it started, directly or not."""
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def free_ports(count: int) -> list[int]:
    """Return TCP ports on loopback that nothing uses now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def python(environment: str | None = None) -> Path:
    """Return the Python of an environment in this project's folder, or the one that runs this."""
    return Path(sys.executable) if environment is None else program("python", environment)


def program(name: str, environment: str | None = None) -> Path:
    """Return a program of an environment in this project's folder, or of the one this runs in."""
    if environment is None:
        return Path(sys.executable).parent / name
    return PROJECT / environment / "bin" / name
