"""The folder of an embedded broker, and who may use it.

Two locks of the kernel (`flock`) guard it. A lock ends with the last process that holds it, so
neither can be stale, whatever was killed:

* `stack.lock` is held by the process that runs the server, and contains its id, for people. A
  second stack cannot take it.
* `server.lock` is held by the server itself, which inherits it, and contains the server's process
  id. Whoever holds the first lock and finds the second one taken has found a server that outlived
  its parent. As long as the lock is taken a process of that server's group lives, so the kernel
  cannot have given the id to a stranger: it is safe to signal.
"""

import asyncio
import contextlib
import fcntl
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import structlog

from runtime.broker.errors import BrokerRefusedError

_POLL_SECONDS = 0.02

log = structlog.get_logger("broker")


class DataFolder:
    """The folder `path`, created if it is missing; locked for this stack within `with`."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()

    def __enter__(self) -> Self:
        """Raise `BrokerRefusedError` if the folder is in use or cannot be used."""
        try:
            # Payloads and results are in there: for nobody else to read.
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._stack_lock = self._open("stack.lock")
        except OSError as error:
            raise BrokerRefusedError(
                f"cannot use the folder {self.path}: {error.strerror}. "
                "Set EYAS_DATA_DIR to one that can be written."
            ) from error
        if not _lock(self._stack_lock):
            holder = os.pread(self._stack_lock, 20, 0).decode()
            os.close(self._stack_lock)
            raise BrokerRefusedError(
                f"another running stack (its broker is process {holder or 'unknown'}) uses the "
                f"folder {self.path}. Stop it, or set EYAS_DATA_DIR to another folder."
            )
        os.ftruncate(self._stack_lock, 0)
        os.pwrite(self._stack_lock, str(os.getpid()).encode(), 0)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._stack_lock)

    @contextlib.asynccontextmanager
    async def server_lock(self) -> AsyncIterator[int]:
        """Take the server's lock and yield its descriptor, for a new server to inherit.

        A server left over from a parent that was killed is stopped first. After the `with` the
        lock is held by the new server alone.
        """
        descriptor = self._open("server.lock")
        try:
            if not _lock(descriptor):
                await self._stop_leftover(descriptor)
            # The old id has to go before a new process holds the lock: it may be a stranger's now.
            os.ftruncate(descriptor, 0)
            yield descriptor
        finally:
            os.close(descriptor)

    def is_held_by_server(self) -> bool:
        """Tell whether a process of the server's group lives: the server, or a child of it."""
        descriptor = self._open("server.lock")
        try:
            return not _lock(descriptor)
        finally:
            os.close(descriptor)

    def _open(self, name: str) -> int:
        return os.open(self.path / name, os.O_RDWR | os.O_CREAT, 0o600)

    async def _stop_leftover(self, descriptor: int) -> None:
        """Stop the server that holds the lock, and take the lock over."""
        for stop_signal, seconds in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 2.0)):
            deadline = time.monotonic() + seconds
            pid = 0
            while time.monotonic() < deadline:
                # The id is written by the server's process itself, just before it becomes one.
                if not pid and (pid := int(os.pread(descriptor, 20, 0) or b"0")):
                    log.warning("broker.leftover", server_pid=pid, signal=stop_signal.name)
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(pid, stop_signal)
                if _lock(descriptor):
                    return
                await asyncio.sleep(_POLL_SECONDS)
        raise BrokerRefusedError(
            f"a server left over in {self.path} does not stop. "
            "Stop it, or set EYAS_DATA_DIR to another folder."
        )


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
