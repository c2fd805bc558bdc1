"""The application of the functions as they are now."""

import asyncio
from collections.abc import Callable
from typing import Any

from runtime.registry import Registry
from runtime.reloading import Reloader
from runtime.web.app import App


class CurrentApp:
    """An ASGI application that is another one after the functions folder has changed.

    A request that has begun is finished by the one with which it began. What they share, the
    connections above all, is opened and closed by the first.
    """

    def __init__(self, make: Callable[[Registry], App], reloader: Reloader) -> None:
        self._make = make
        self._reloader = reloader
        self._app = make(reloader.registry)

    def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        return self._app(scope, receive, send)

    async def follow(self) -> None:
        """Follow the folder until cancelled."""
        while True:
            await asyncio.sleep(self._reloader.pause_seconds)
            if self._reloader.has_changed():
                # Beside the event loop: imports may take long.
                self._app = self._make(await asyncio.to_thread(self._reloader.load))
