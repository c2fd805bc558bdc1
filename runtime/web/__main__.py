"""`python -m runtime.web`: the HTTP process."""

import asyncio
import importlib
import sys

import structlog

from runtime import entry, logs
from runtime.store import AsyncStore, GroupCommit, Watcher
from runtime.web.app import create_app
from runtime.web.server import AddressInUseError, check_address, serve


def main() -> None:
    """Run the web process until it is told to stop."""
    settings = entry.prepare("web")
    registry = entry.load_functions(settings)
    try:
        check_address(settings)
    except AddressInUseError as error:
        entry.stop(str(error))
    app = create_app(
        registry=registry,
        settings=settings,
        store=AsyncStore(settings.broker_url),
        commits=GroupCommit(settings.broker_url),
        watcher=Watcher(settings.broker_url),
    )
    structlog.get_logger("web").info("web.listening", url=settings.web_url)
    loop_factory = (
        None if sys.platform == "win32" else importlib.import_module("uvloop").new_event_loop
    )
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        logs.write_by_turns(runner.get_loop().call_soon)
        runner.run(serve(app, settings))
    structlog.get_logger("web").info("web.stopped")


if __name__ == "__main__":
    main()
