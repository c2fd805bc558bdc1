"""The worker's executors as a part of Celery's worker: started, run by its event loop, stopped."""

from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from celery import bootsteps

from runtime import logs
from runtime.worker.dispatcher import WATCHED_EVERY_SECONDS, Dispatcher

_STOP_SECONDS = 0.2
# How long a worker that stops, and has nothing else to do, waits for a broker that is away.
_PATIENCE_SECONDS = 8.0

_log = structlog.get_logger("worker")


class Executors(bootsteps.StartStopStep):  # type: ignore[misc]
    """Has the worker's event loop listen to executors, and watch them while they are busy."""

    # Stopped before the pool, which stores what comes of its tasks without anybody's help.
    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **_: Any) -> None:
        self._hub: Any = None
        self._is_watching = False
        self._is_settling = False
        super().__init__(worker)

    def start(self, worker: Any) -> None:
        worker.app.eyas_dispatcher.start()

    def register_with_event_loop(self, worker: Any, hub: Any) -> None:
        """Listen; called again after each loss of the connection, with an empty event loop."""
        dispatcher: Dispatcher = worker.app.eyas_dispatcher
        self._hub = hub
        self._is_settling = False
        self._is_watching = False
        self._dispatcher = dispatcher
        dispatcher.may_start = partial(_may_start, worker)
        dispatcher.attach(self)
        logs.write_by_turns(hub.call_soon)
        # What a timer logs would wait as long as the loop does for something to read.
        hub.on_tick.add(logs.flush)
        self.watch_soon()

    def stop(self, worker: Any) -> None:
        """Wait until everything that runs has ended."""
        logs.write_at_once()
        dispatcher: Dispatcher = worker.app.eyas_dispatcher
        dispatcher.is_stopping = True
        dispatcher.detach()
        dispatcher.give_back_waiting()
        patience = _PATIENCE_SECONDS
        while dispatcher.is_busy and patience > 0:
            dispatcher.wait(_STOP_SECONDS)
            if dispatcher.attempts or not dispatcher.settling.debts.are_overdue:
                patience = _PATIENCE_SECONDS
            else:
                patience -= _STOP_SECONDS
        if patience <= 0:
            # Its invocations are delivered again when the lease has lapsed.
            _log.error("worker.untold", ends=len(dispatcher.settling.untold))
        dispatcher.close()

    def terminate(self, worker: Any) -> None:
        """End everything now; it is given back."""
        logs.write_at_once()
        dispatcher: Dispatcher = worker.app.eyas_dispatcher
        dispatcher.close()

    def hear(self, fileno: int, call: Callable[[], None]) -> None:
        self._hub.add_reader(fileno, call)

    def forget(self, fileno: int) -> None:
        self._hub.remove(fileno)

    def settle_soon(self) -> None:
        if not self._is_settling:
            self._is_settling = True
            self._hub.call_soon(self._settle)

    def watch_soon(self) -> None:
        if not self._is_watching:
            self._is_watching = True
            self._hub.call_later(WATCHED_EVERY_SECONDS, self._watch)

    def _settle(self) -> None:
        self._is_settling = False
        self._dispatcher.settle()

    def _watch(self) -> None:
        self._is_watching = False
        self._dispatcher.watch()
        if self._dispatcher.is_busy or self._dispatcher.waiting:
            self.watch_soon()


def _may_start(worker: Any, function: str) -> bool:
    """Tell whether the rate limit that a program has set by remote control lets one start now."""
    bucket = worker.consumer.task_buckets.get(function)
    return bucket is None or bool(bucket.can_consume(1))
