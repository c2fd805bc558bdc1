"""`python -m runtime.worker`: the worker process, and its pool of processes that run handlers."""

import gc
import logging
import os
import signal
import sys
import time
import warnings
from typing import Any

import structlog
from billiard import pool
from celery import signals
from celery.exceptions import CPendingDeprecationWarning, SecurityWarning

from runtime import entry, logs, needs
from runtime.errors import BrokerUnavailableError
from runtime.store import Store, claims
from runtime.worker.app import EyasCelery, create_celery, create_worker
from runtime.worker.lease import LeaseKeeper
from runtime.worker.quiet import QUIET_LOGGERS, without_bodies
from runtime.worker.steps import pool_process_of

# Shorter than a lease: the parent cannot renew it while it waits for an answer.
_REPLY_SECONDS = 2.0


_WAIT_ENDS_SECONDS = 1.2


def _keep_own_logging(**_: Any) -> None:
    """Stand in for Celery's log set-up: any receiver of its signal replaces it."""


def _leave_process_group(**_: Any) -> None:
    # honcho and a terminal signal whole groups. A handler is stopped by its worker, when that has
    # decided what becomes of the attempt; and it dies with its worker (PR_SET_PDEATHSIG).
    os.setpgid(0, 0)


def _retire(app: EyasCelery) -> None:
    """Give back what is left at once; without, the scheduler does when the lease has lapsed."""
    try:
        given_back = app.eyas_store.run(claims.retire(app.eyas_worker))
    except BrokerUnavailableError as error:
        structlog.get_logger("worker").debug("worker.not_retired", reason=str(error))
    else:
        structlog.get_logger("worker").debug("worker.retired", given_back=given_back)


def main() -> None:
    """Run the worker until it is told to stop; attempts that are running are finished first."""
    settings = entry.prepare("worker", quiet=QUIET_LOGGERS)
    tracing = entry.start_tracing()
    reloader = needs.load_functions(settings)
    url = settings.broker_url
    needs.wait_for_broker(url)
    # Celery warns root of pickle, which this application does not accept: JSON only.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    # At every lost connection, about a setting that is chosen on purpose.
    warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)
    logging.getLogger("celery.worker.consumer.consumer").addFilter(without_bodies)
    # A pool process that ends waits for its parent to have read everything it said, and on a busy
    # machine misses that: up to 30 s. Outcomes are stored before they are told.
    pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = 20
    signals.setup_logging.connect(_keep_own_logging, weak=False)
    signals.worker_process_init.connect(_leave_process_group, weak=False)
    name = os.environ.get("SUPERVISOR_PROCESS_NAME") or os.environ.get(
        "HONCHO_PROCESS_NAME", "worker"
    )
    store = Store(url, reply_seconds=_REPLY_SECONDS)
    app = create_celery(
        reloader=reloader, settings=settings, store=store, name=name, tracing=tracing
    )

    def stop_one(invocation_id: str) -> None:
        pid = pool_process_of(invocation_id)
        if pid is None:
            app.eyas_dispatcher.to_stop.append(invocation_id)
        else:
            structlog.get_logger("worker").info("attempt.cancelled", invocation_id=invocation_id)
            os.kill(pid, signal.SIGKILL)

    keeper = LeaseKeeper(url, worker=app.eyas_worker, kept=app.eyas_dispatcher.kept, stop=stop_one)
    told_to_stop: list[str] = []

    def stopping(how: str, **_: Any) -> None:
        structlog.get_logger("worker").info("worker.stopping", how=how.lower())
        app.eyas_dispatcher.is_stopping = True
        if not told_to_stop:
            keeper.start()
        told_to_stop.append(how)

    signals.worker_shutting_down.connect(stopping, weak=False)
    worker = create_worker(app, name=name)
    # What all processes of the worker have in common stays shared.
    gc.collect()
    gc.freeze()
    worker.start()
    logs.write_at_once()
    keeper.stop()
    log = structlog.get_logger("worker")
    _retire(app)
    tracing.close()
    if worker.exitcode and not told_to_stop:
        # Celery gave up, at a broker that went away in a moment it had not foreseen, say. honcho
        # would stop the whole stack now; a new start of this process is all that is needed.
        log.error("worker.restarting", code=worker.exitcode)
        # A wait for a message may still be under way, and what comes would land here.
        time.sleep(_WAIT_ENDS_SECONDS)
        _retire(app)
        os.execv(sys.executable, [sys.executable, "-m", "runtime.worker"])  # noqa: S606
    log.info("worker.stopped", code=worker.exitcode)
    sys.exit(worker.exitcode)


if __name__ == "__main__":
    main()
