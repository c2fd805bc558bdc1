"""`python -m runtime.scheduler`: the scheduler process."""

import signal
import threading

import structlog

from runtime import entry, needs
from runtime.scheduler.chores import Chore, QueueDue, SweepLeases
from runtime.scheduler.reconciler import Reconcile
from runtime.scheduler.schedules import FireSchedules
from runtime.store import Store, clock


def main() -> None:
    """Do what is to be done, each chore in a thread of its own, until told to stop."""
    settings = entry.prepare("scheduler")
    url = settings.broker_url
    needs.wait_for_broker(url)
    setting = Store(url)
    setting.insist(clock.set_scale(settings.time_scale))
    setting.close()
    chores: list[Chore] = [
        QueueDue(store=Store(url)),
        SweepLeases(store=Store(url)),
        Reconcile(store=Store(url), retention=settings.retention),
    ]
    stopping = threading.Event()
    failed: list[BaseException] = []

    def stop(*_: object) -> None:
        stopping.set()

    def run(chore: Chore) -> None:
        try:
            chore.run()
        except BaseException as error:
            failed.append(error)
            stopping.set()
            raise

    def start(chore: Chore) -> threading.Thread:
        thread = threading.Thread(target=run, args=(chore,))
        thread.start()
        return thread

    threads = [start(chore) for chore in chores]
    log = structlog.get_logger("scheduler")
    try:
        # What was accepted goes on while user code is imported, which may take its time. Until then
        # SIGTERM ends the process at once, which harms no more than SIGKILL does.
        reloader = needs.load_functions(settings)
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        chores.append(
            FireSchedules(
                store=Store(url),
                reloader=reloader,
                follows=settings.reload,
                listed_seconds=settings.retention.record_seconds,
            )
        )
        threads.append(start(chores[-1]))
        log.info("scheduler.started")
        stopping.wait()
    finally:
        for chore in chores:
            chore.stop()
        for thread in threads:
            thread.join()
    if failed:
        # Started again, all chores are at work again.
        log.error("scheduler.failed", error=f"{type(failed[0]).__name__}: {failed[0]}")
        raise SystemExit(1)
    log.info("scheduler.stopped")


if __name__ == "__main__":
    main()
