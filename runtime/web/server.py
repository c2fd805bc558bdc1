"""The HTTP server under the Falcon application: granian, inside this process.

Its event loop is ours, so there is no parent that a SIGKILL could part from a child that keeps the
port. See docs/decisions/0002-granian.md for what was measured.
"""

import asyncio
import signal
import socket
from collections.abc import Callable
from typing import Any

import structlog
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server

from runtime.errors import EyasError
from runtime.logs import pass_through
from runtime.settings import Settings

_BACKLOG = 1024
# Below supervisord's stopwaitsecs, so that lines that are logged are written.
_STOP_SECONDS = 25.0


class AddressInUseError(EyasError):
    """Another program listens where web should."""


def check_address(settings: Settings) -> None:
    """Raise `AddressInUseError` if the address cannot be listened on.

    granian shares its port with any other process that asks for it the same way (SO_REUSEPORT), so
    two stacks on one port would silently get half of the requests each.
    """
    family, kind, protocol, _, address = _resolve(settings)
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise AddressInUseError(
                f"cannot listen on {settings.host} port {settings.port} "
                f"({error.strerror}): set PORT or EYAS_HOST"
            ) from error


def _resolve(settings: Settings) -> Any:
    try:
        return socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise AddressInUseError(f"EYAS_HOST={settings.host!r}: {error.strerror}") from error


def _adapted(app: Any) -> Any:
    """Say to falcon what it understands.

    granian calls HTTP 1.0 "1", which falcon answers with 500; ASGI has "1.0"
    (https://asgi.readthedocs.io/en/latest/specs/www.html#http-connection-scope). HEAD is GET whose
    body the server leaves out (RFC 9110, section 9.3.2).
    """

    def call(scope: dict[str, Any], receive: Any, send: Any) -> Any:
        if scope.get("http_version") == "1":
            scope = scope | {"http_version": "1.0"}
        if scope.get("method") == "HEAD":
            scope = scope | {"method": "GET"}
        return app(scope, receive, send)

    return call


async def serve(app: Any, settings: Settings, *, before_stop: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT; requests that are under way are finished.

    `before_stop` ends those that would go on for ever. What is not finished after 25 seconds is
    left: a client that does not read what it has asked for would keep the process.
    """
    address = _resolve(settings)[4][0]
    server = Server(
        _adapted(app),
        address=address,
        port=settings.port,
        interface=Interfaces.ASGI,
        websockets=False,
        backlog=_BACKLOG,
        # granian's lines go where all lines go. It logs nothing below this level that we do not.
        log_dictconfig=pass_through("_granian", "granian.access"),
        log_level=LogLevels.error,
    )

    is_told = asyncio.Event()

    def stop() -> None:
        before_stop()
        server.stop()  # type: ignore[no-untyped-call]
        is_told.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    serving, telling = loop.create_task(server.serve()), loop.create_task(is_told.wait())
    await asyncio.wait({serving, telling}, return_when=asyncio.FIRST_COMPLETED)
    telling.cancel()
    await asyncio.wait({serving}, timeout=_STOP_SECONDS)
    if serving.done():
        serving.result()
    else:
        structlog.get_logger("web").warning("web.requests_left", after_seconds=_STOP_SECONDS)
