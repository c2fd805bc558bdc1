"""The worker's side of a change of the functions folder: new executors, tasks, pool processes.

See docs/decisions/0019-hot-reload.md.
"""

import os
import signal
from typing import Any

from celery import bootsteps

from runtime.reloading import Reloader
from runtime.worker.lease import LeaseKeeper
from runtime.worker.steps import LeaseRenewal
from runtime.worker.task import register


class FunctionsReload(bootsteps.StartStopStep):  # type: ignore[misc]
    """Follows the functions folder, in the consumer's loop, while it consumes."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **_: Any) -> None:
        self._timer: Any = None
        self._stale: list[Any] = []
        super().__init__(consumer)

    def start(self, consumer: Any) -> None:
        if consumer.app.eyas_settings.reload:
            consumer.app.eyas_dispatcher.may_be_behind = True
            self._look_soon(consumer)

    def stop(self, consumer: Any) -> None:
        del consumer
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_soon(self, consumer: Any) -> None:
        pause = consumer.app.eyas_reloader.pause_seconds
        self._timer = consumer.timer.call_after(pause, self._look, (consumer,))

    def _look(self, consumer: Any) -> None:
        reloader: Reloader = consumer.app.eyas_reloader
        try:
            if reloader.has_changed():
                self._load(consumer, reloader)
                self._serve(consumer)
            if reloader.is_settled:
                consumer.app.eyas_dispatcher.refuse_unknown()
            self._end_stale(consumer.pool)
        finally:
            self._look_soon(consumer)

    @staticmethod
    def _load(consumer: Any, reloader: Reloader) -> None:
        """Import the modules; the lease goes on, however long that takes."""
        cancelled: list[str] = []
        keeper = LeaseKeeper(
            consumer.app.eyas_settings.broker_url,
            worker=consumer.app.eyas_worker,
            kept=None,
            stop=cancelled.append,
        )
        keeper.start()
        try:
            reloader.load()
        finally:
            # Before anything is forked: a thread's locks would be held in the child for ever.
            keeper.stop()
            for invocation_id in cancelled:
                LeaseRenewal.cancel(consumer, invocation_id)

    def _serve(self, consumer: Any) -> None:
        app = consumer.app
        app.eyas_functions.refresh()
        app.eyas_user_functions.refresh()
        gone = register(app, app.eyas_functions, worker=app.eyas_worker, attempts=app.eyas_attempts)
        for name in gone:
            consumer.strategies.pop(name, None)
        consumer.update_strategies()
        app.eyas_dispatcher.renew()
        self._stale += consumer.pool._pool._pool  # noqa: SLF001

    def _end_stale(self, task_pool: Any) -> None:
        """Replace processes of Celery's pool that were forked before, when they have nothing to do.

        Celery does not offer it. A process that is not among the pool's queues is given nothing
        more. What it has been given is in the pool's cache, accepted or not, until it has ended.
        """
        pool = task_pool._pool  # noqa: SLF001
        self._stale = [one for one in self._stale if one in pool._pool and one._is_alive()]  # noqa: SLF001
        if not self._stale:
            return
        jobs = list(pool._cache.values())  # noqa: SLF001
        given = {id(one) for job in jobs for one in (job._write_to, job._scheduled_for)}  # noqa: SLF001
        for process in self._stale:
            pool._all_inqueues.discard(process.inqW_fd)  # noqa: SLF001
            pool._busy_workers.discard(process.inqW_fd)  # noqa: SLF001
            if id(process) not in given:
                process._controlled_termination = True  # noqa: SLF001  it is no fault
                os.kill(process.pid, signal.SIGKILL)
