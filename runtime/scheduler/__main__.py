"""`python -m runtime.scheduler`: the scheduler process."""

import signal
import threading

import structlog

from runtime import entry, needs
from runtime.scheduler.chores import Chore, QueueDue, SweepLeases
from runtime.scheduler.reconciler import Reconcile
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

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    threads = [threading.Thread(target=run, args=(chore,)) for chore in chores]
    for thread in threads:
        thread.start()
    log = structlog.get_logger("scheduler")
    log.info("scheduler.started")
    stopping.wait()
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
