"""`python -m loadtests.bench.bare PORT`: a bare Falcon application on the server of the stack.

The limit of what can be accepted: `GET /ping`, one process, granian inside of it, uvloop.
"""

import asyncio
import signal
import sys

import falcon
import falcon.asgi
import uvloop
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server

_BACKLOG = 1024


class Ping:
    """Answers as `/ping` of the stack does."""

    async def on_get(self, _request: falcon.asgi.Request, response: falcon.asgi.Response) -> None:
        """Answer with a JSON string."""
        response.media = "pong!"


async def serve(port: int) -> None:
    """Serve until SIGTERM."""
    app = falcon.asgi.App()
    app.add_route("/ping", Ping())
    server = Server(
        app,
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGI,
        websockets=False,
        backlog=_BACKLOG,
        log_level=LogLevels.error,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    await server.serve()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
