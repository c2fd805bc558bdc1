"""`python -m runtime.web`: the HTTP process."""

import asyncio
import gc
import importlib
import sys

import structlog

from runtime import entry, logs, needs
from runtime.registry import Registry
from runtime.settings import Settings
from runtime.store import AsyncStore, GroupCommit, Watcher
from runtime.web.app import App, create_app
from runtime.web.current import CurrentApp
from runtime.web.event_stream import OpenStreams
from runtime.web.metrics import Refusals
from runtime.web.server import AddressInUseError, check_address, serve

_COLLECTED_OBJECTS = 20_000


def main() -> None:
    """Run the web process until it is told to stop."""
    settings = entry.prepare("web")
    tracing = entry.start_tracing()
    reloader = needs.load_functions(settings)
    try:
        check_address(settings)
    except AddressInUseError as error:
        entry.stop(str(error))
    store = AsyncStore(settings.broker_url)
    commits, watcher = GroupCommit(settings.broker_url), Watcher(settings.broker_url)

    refusals, streams = Refusals(), OpenStreams()

    def make(registry: Registry) -> App:
        return create_app(
            registry=registry,
            settings=settings,
            store=store,
            commits=commits,
            watcher=watcher,
            refusals=refusals,
            streams=streams,
            tracing=tracing,
        )

    app = CurrentApp(make, reloader)
    # What is there now stays. Of what requests make, next to nothing is in cycles: looking for them
    # after each 700 objects takes a twentieth of the time that a request has.
    gc.freeze()
    gc.set_threshold(_COLLECTED_OBJECTS, 20, 20)
    structlog.get_logger("web").info("web.listening", url=settings.web_url)
    loop_factory = (
        None if sys.platform == "win32" else importlib.import_module("uvloop").new_event_loop
    )
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        logs.write_by_turns(runner.get_loop().call_soon)
        runner.run(_serve(app, settings, streams))
    tracing.close()
    structlog.get_logger("web").info("web.stopped")


async def _serve(app: CurrentApp, settings: Settings, streams: OpenStreams) -> None:
    following = asyncio.create_task(app.follow()) if settings.reload else None
    await serve(app, settings, before_stop=streams.end)
    if following is not None:
        following.cancel()


if __name__ == "__main__":
    main()
