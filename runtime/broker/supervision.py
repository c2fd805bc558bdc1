"""The life of the broker process: start the server, watch it, stop it last.

honcho sends SIGTERM to all processes of a stack at once, and SIGKILL to those that are left after
5 seconds. Workers use these seconds to finish attempts, and need a broker to store the results.
So on a signal the server is stopped only when no client is connected any more, or when the time is
nearly up. Any client counts, an idle one too: from here, a worker in the middle of an attempt looks
just like that. Under supervisord the broker is the last to be stopped, and nothing is waited for.
"""

import asyncio
import contextlib
import errno
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from runtime.broker.errors import BrokerRefusedError
from runtime.broker.folder import DataFolder
from runtime.broker.resp import Connection, ServerError
from runtime.broker.server import Server
from runtime.settings import Settings

# From the first signal on; honcho's SIGKILL comes at 5.
_DRAINED_BY_SECONDS = 4.0
_STOPPED_BY_SECONDS = 4.6

log = structlog.get_logger("broker")


class StopRequests:
    """The signals that ask this process to stop: the first politely, the second at once."""

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._count)

    def _count(self) -> None:
        (self.second if self.first.is_set() else self.first).set()


async def run_external(redis_url: str) -> int:
    """Wait for a signal: the broker is elsewhere, but honcho stops all when one process exits."""
    stop = StopRequests()
    url = urlsplit(redis_url)
    log.info("broker.external", host=url.hostname, port=url.port)
    await stop.first.wait()
    return 0


async def run_embedded(settings: Settings, *, binary: Path, environment: Mapping[str, str]) -> int:
    """Run the server until a signal comes or it exits; return the exit code of this process.

    Raises `BrokerRefusedError` if it cannot start.
    """
    stop = StopRequests()
    port = settings.broker_port
    with DataFolder(settings.data_dir / "broker") as folder:
        async with folder.server_lock() as lock:
            await _refuse_taken_port(port)
            server = Server.start(
                binary, port=port, folder=folder, lock=lock, environment=environment
            )
        try:
            return await _watch(
                server,
                stop,
                about={"binary": str(binary), "port": port, "folder": str(folder.path)},
            )
        finally:
            server.kill()


async def _watch(server: Server, stop: StopRequests, *, about: Mapping[str, object]) -> int:
    """Return the exit code of this process once the server has ended."""
    exited = asyncio.create_task(server.wait())
    asked = asyncio.create_task(stop.first.wait())
    ready = asyncio.create_task(server.wait_until_ready())
    await asyncio.wait([ready, asked, exited], return_when=asyncio.FIRST_COMPLETED)
    if ready.done():
        log.info("broker.ready", version=ready.result(), server_pid=server.pid, **about)
        await asyncio.wait([asked, exited], return_when=asyncio.FIRST_COMPLETED)
    if asked.done():
        asked_at = asyncio.get_running_loop().time()
        if ready.done():
            await _drain(server, stop, exited)
        if not exited.done():
            await _stop(server, exited, by=asked_at + _STOPPED_BY_SECONDS)
            return 0
    code = await exited
    log.error("broker.exited", **_how(code))
    return 1


async def _drain(server: Server, stop: StopRequests, exited: asyncio.Task[int]) -> None:
    """Return when nobody needs the server any more, or has to do without it."""
    log.info("broker.stopping")
    alone = asyncio.create_task(server.wait_until_alone())
    urgent = asyncio.create_task(stop.second.wait())
    await asyncio.wait(
        [alone, urgent, exited], timeout=_DRAINED_BY_SECONDS, return_when=asyncio.FIRST_COMPLETED
    )
    if not alone.done() and not exited.done():
        log.warning("broker.clients_left", message="stopped while clients were connected")


async def _stop(server: Server, exited: asyncio.Task[int], *, by: float) -> None:
    server.terminate()
    await asyncio.wait([exited], timeout=max(0.0, by - asyncio.get_running_loop().time()))
    if not exited.done():
        server.kill()
    log.info("broker.stopped", **_how(await exited))


def _how(code: int) -> dict[str, int | str]:
    """Say how a process ended, from what `Popen.wait` returns."""
    return {"code": code} if code >= 0 else {"signal": signal.Signals(-code).name}


async def _refuse_taken_port(port: int) -> None:
    """Raise `BrokerRefusedError` if the server could not listen on `port`."""
    with socket.socket() as probe:
        # As the server does: connections of a predecessor that have just ended do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            problem = (
                f"taken by {await _occupant(port)}"
                if error.errno == errno.EADDRINUSE
                else f"not available: {error.strerror}"
            )
            raise BrokerRefusedError(
                f"port {port} on 127.0.0.1 is {problem}. Set EYAS_BROKER_PORT to a free one."
            ) from error


async def _occupant(port: int) -> str:
    """Say who listens on `port`, as far as it answers as a Redis or Valkey server does."""
    with contextlib.suppress(OSError, ServerError):
        async with Connection(port) as connection:
            match await connection.command("CONFIG", "GET", "dir"):
                case [_, str(folder)]:
                    return f"a Redis or Valkey server on the folder {folder}"
    return "another program"
