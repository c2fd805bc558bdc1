"""Processes of contenders: none is left behind."""

import signal
import subprocess
import sys
from typing import Any

import psutil
import pytest

from loadtests.bench.processes import Processes


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


class InterruptedPopen(subprocess.Popen[bytes]):
    """Is interrupted when the process runs, and nobody has been told its id."""

    pids: list[int] = []  # noqa: RUF012  the test reads it

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.pids.append(self.pid)
        signal.raise_signal(signal.SIGTERM)


def test_a_process_that_is_just_started_is_stopped_too(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGTERM, interrupted)
    monkeypatch.setattr(subprocess, "Popen", InterruptedPopen)
    try:
        with pytest.raises(KeyboardInterrupt), Processes() as processes:
            processes.start("sleeper", [sys.executable, "-c", "import time; time.sleep(600)"])
        assert signal.getsignal(signal.SIGTERM) is interrupted
    finally:
        signal.signal(signal.SIGTERM, before)

    [pid] = InterruptedPopen.pids
    assert not psutil.pid_exists(pid)
