"""The server as a child process: started, asked, stopped."""

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Self

import structlog

from runtime.broker.folder import DataFolder
from runtime.broker.output import parse_line
from runtime.broker.resp import Connection, ServerError
from runtime.parent import end_with_parent

_CONFIGURATION = Path(__file__).with_name("server.conf")
_ENVIRONMENT = Path(__file__).with_name("server.env")
_READY_POLL_SECONDS = 0.05
_ALONE_POLL_SECONDS = 0.1

log = structlog.get_logger("broker")


class Server:
    """A running server, in a session of its own.

    Signals that are sent to the parent's process group (honcho, a terminal) thereby do not reach
    the server before the parent has decided that it may stop.
    """

    def __init__(self, process: subprocess.Popen[bytes], *, port: int, folder: DataFolder) -> None:
        self._process = process
        self._port = port
        self._folder = folder
        assert process.stdout is not None  # noqa: S101 it is a pipe, see `start`
        self._output = threading.Thread(target=_log_output, args=[process.stdout], daemon=True)
        self._output.start()
        self._exited = asyncio.create_task(asyncio.to_thread(process.wait))

    @classmethod
    def start(
        cls,
        binary: Path,
        *,
        port: int,
        folder: DataFolder,
        lock: int,
        environment: Mapping[str, str],
    ) -> Self:
        """Start the server. The main thread has to do it: the kernel ties the child to it."""
        with _CONFIGURATION.open("rb") as configuration:
            process = subprocess.Popen(
                [binary, "-", "--port", str(port), "--dir", folder.path],
                stdin=configuration,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                # The server prints local time without an offset.
                env={**_environment(), **environment, "TZ": "UTC"},
                start_new_session=True,
                pass_fds=[lock],
                preexec_fn=_child_setup(lock),  # noqa: PLW1509 no other thread runs yet
            )
        return cls(process, port=port, folder=folder)

    @property
    def pid(self) -> int:
        """The server's process id, which is also its process group's."""
        return self._process.pid

    async def wait(self) -> int:
        """Return the exit code of the server, or minus the signal that ended it."""
        code = await asyncio.shield(self._exited)
        # A rewrite of the append-only file is a child of the server: killing the server leaves it
        # at work on the folder, with the lock and the output pipe.
        if self._folder.is_held_by_server():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        await asyncio.to_thread(self._output.join, 1.0)
        return code

    async def wait_until_ready(self) -> str:
        """Return the server's version once it answers; reading a large file takes its time."""
        while True:
            with contextlib.suppress(OSError, ServerError):
                async with Connection(self._port) as connection:
                    await connection.command("PING")
                    facts = _fields(await connection.text("INFO", "server"))
                    # Another server may have taken the port in the moment before ours did.
                    if facts.get("process_id") == str(self.pid):
                        return facts.get("valkey_version") or facts["redis_version"]
            await asyncio.sleep(_READY_POLL_SECONDS)

    async def wait_until_alone(self) -> None:
        """Return when no client is connected any more, or the server does not answer."""
        with contextlib.suppress(OSError, ServerError):
            async with Connection(self._port) as connection:
                own_id = await connection.command("CLIENT", "ID")
                while True:
                    listing = await connection.text("CLIENT", "LIST")
                    if all(line.startswith(f"id={own_id} ") for line in listing.splitlines()):
                        return
                    await asyncio.sleep(_ALONE_POLL_SECONDS)

    def terminate(self) -> None:
        """Ask the server to stop: it finishes its writes and exits."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Stop the server now. What it has acknowledged is on disk (`appendfsync always`)."""
        self._process.kill()


def _fields(info: str) -> dict[str, str]:
    return dict(line.split(":", 1) for line in info.splitlines() if ":" in line)


def _log_output(stream: IO[bytes]) -> None:
    for raw in stream:
        line = parse_line(raw)
        if not line.message:
            continue
        # The line says when, and by which process, it was written: better than when we read it.
        fields: dict[str, object] = {"message": line.message}
        if line.pid is not None:
            fields["pid"] = line.pid
        if line.written_at is not None:
            fields["timestamp"] = line.written_at.isoformat()
        log.log(line.level, "broker.output", **fields)


def _environment() -> dict[str, str]:
    lines = _ENVIRONMENT.read_text(encoding="ascii").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def _child_setup(lock: int) -> Callable[[], None]:
    """Return what the child does between `fork` and `exec`."""
    parent = os.getpid()

    def setup() -> None:
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        # Without: a parent killed with SIGKILL leaves the server running. Where this does nothing,
        # the next start finds the server by its lock, and stops it.
        end_with_parent(signal.SIGTERM)
        if os.getppid() != parent:  # it died before the line above took effect
            os._exit(1)

    return setup
