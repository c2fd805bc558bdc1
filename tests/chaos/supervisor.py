"""What supervisord does in production: start again whatever has ended."""

import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable

import psutil

from runtime.testing import Stack

_POLL_SECONDS = 0.02


class Supervisor:
    """Keeps a stack's processes running while its methods wait, and kills them on demand."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.exits: Counter[str] = Counter()
        """Which processes ended without having been killed, and with which status."""

    def check(self) -> None:
        """Start again whatever has ended."""
        for name, process in list(self.stack.running.items()):
            status = process.poll()
            if status is not None:
                self.exits[f"{name} with status {status}"] += 1
                self.stack.start(name)

    def wait_for(self, is_true: Callable[[], bool], *, seconds: float) -> bool:
        """Wait until a condition holds; return whether it does."""
        deadline = time.monotonic() + seconds
        while not is_true():
            if time.monotonic() > deadline:
                return False
            self.check()
            time.sleep(_POLL_SECONDS)
        return True

    def pause(self, seconds: float) -> None:
        self.wait_for(lambda: False, seconds=seconds)

    def kill(self, names: Iterable[str], *, children: bool = False) -> None:
        """Kill processes of the stack at once, with their children or not; start them again."""
        names = list(names)
        pids = [self.stack.running[name].pid for name in names]
        if children:
            pids += [child for pid in pids for child in children_of(pid)]
        kill(pids)
        for name in names:
            self.stack.kill(name)
        for name in names:
            self.stack.start(name)

    def children(self, name: str) -> list[int]:
        """Return the process ids of a process's children: none while it starts."""
        return children_of(self.stack.running[name].pid)

    def executors(self) -> list[int]:
        """Return those of the worker's children that run handlers; Celery's pool idles here."""
        return [pid for pid in self.children("worker") if name_of(pid) == "eyas-executor"]


def name_of(pid: int) -> str:
    try:
        return psutil.Process(pid).name()
    except psutil.NoSuchProcess:
        return ""


def children_of(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.NoSuchProcess:
        return []


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def kill(pids: Iterable[int]) -> None:
    """Kill processes with SIGKILL."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
