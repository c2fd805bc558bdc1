"""The Celery application: every function a task of the same name."""

import os
import re
import secrets
import socket
from typing import Any

import celery

from runtime.message import QUEUE
from runtime.reloading import LiveFunctions, Reloader
from runtime.settings import Settings
from runtime.store import Store, records
from runtime.tracing import OFF, Tracing
from runtime.worker import control, serializer, transport
from runtime.worker.admission import Admission
from runtime.worker.attempts import Attempts
from runtime.worker.audience import CeleryAudience
from runtime.worker.backend import RecordBackend
from runtime.worker.callbacks import callback_function
from runtime.worker.consumer import Consumer
from runtime.worker.debts import Debts
from runtime.worker.destinations import destination_function
from runtime.worker.dispatcher import Dispatcher
from runtime.worker.events import Events
from runtime.worker.executor.work import Work
from runtime.worker.executor_step import Executors
from runtime.worker.handover_step import HandoverStep
from runtime.worker.lanes import Lanes
from runtime.worker.reload_step import FunctionsReload
from runtime.worker.settling import Settling
from runtime.worker.steps import EventsTogether, LeaseRenewal, PoolMending
from runtime.worker.task import register


class EyasCelery(celery.Celery):  # type: ignore[misc]
    """A Celery application that carries what our parts of the worker need.

    `eyas_worker` is the name under which this process claims messages: never used before, never
    used again. `eyas_acknowledged` holds tags to acknowledge with the next claim.
    """

    events_cls = Events

    eyas_store: Store
    eyas_settings: Settings
    eyas_worker: str
    eyas_reloader: Reloader
    eyas_functions: LiveFunctions
    eyas_user_functions: LiveFunctions
    eyas_attempts: Attempts
    eyas_admission: Admission
    eyas_dispatcher: Dispatcher
    eyas_audience: CeleryAudience
    eyas_acknowledged: list[str]
    eyas_is_traced: bool


def create_celery(
    *,
    reloader: Reloader,
    settings: Settings,
    store: Store,
    name: str,
    tracing: Tracing = OFF,
) -> EyasCelery:
    """Make the application. Each setting that is not Celery's default says what it prevents."""
    serializer.install()
    control.install()
    app = EyasCelery(
        "eyas",
        broker=settings.broker_url,
        backend=f"{RecordBackend.__module__}:{RecordBackend.__qualname__}+{settings.broker_url}",
        set_as_current=False,
    )
    app.eyas_store = store
    app.eyas_settings = settings
    app.eyas_worker = _unique(f"{name}@{socket.gethostname()}:{os.getpid()}")
    app.eyas_audience = CeleryAudience()
    app.eyas_reloader = reloader
    callback = callback_function(settings, store)
    app.eyas_user_functions = LiveFunctions(reloader)
    destination = destination_function(settings, store, app.eyas_user_functions)
    app.eyas_functions = LiveFunctions(
        reloader, always={callback.name: callback, destination.name: destination}
    )
    app.eyas_attempts = Attempts(store=store, settings=settings)
    app.eyas_dispatcher = _dispatcher(app, tracing)
    app.eyas_admission = Admission(
        functions=app.eyas_user_functions,
        store=store,
        settings=settings,
        take=app.eyas_dispatcher.take,
    )
    app.eyas_acknowledged = []
    app.eyas_is_traced = tracing.is_on
    transport.install(
        transport.Hands(
            worker=app.eyas_worker,
            store=store,
            room=app.eyas_dispatcher.room,
            take=app.eyas_dispatcher.take,
            admit=app.eyas_admission.admit,
            acknowledged=app.eyas_acknowledged,
            is_traced=tracing.is_on,
        )
    )
    app.conf.update(
        task_default_queue=QUEUE,
        accept_content=["json"],
        result_expires=settings.result_ttl_seconds,
        # Without these two, a message is acknowledged before its handler runs, and whoever is
        # killed meanwhile takes the invocation along.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        # One message ahead of each busy process: a slow handler holds back at most one other.
        worker_prefetch_multiplier=2,
        # Celery would replace our log set-up with its own.
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        # A worker that cannot reach the broker waits for it, for ever, instead of exiting.
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # Handlers that run while the broker is away go on, and their outcomes are stored when it
        # is back (Store.insist; the setting says the same for tasks that are not functions).
        worker_cancel_long_running_tasks_on_connection_loss=False,
        result_backend_always_retry=True,
        result_backend_max_sleep_between_retries_ms=1000,
        broker_transport_options={
            "socket_connect_timeout": 2,
            # Without, a read of a connection that has nothing to say blocks the worker for ever:
            # kombu does so after an error in a remote-control command. Shorter than a lease.
            "socket_timeout": 2,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
    )
    app.steps["worker"].add(Executors)
    app.steps["consumer"].update(
        {LeaseRenewal, HandoverStep, PoolMending, EventsTogether, FunctionsReload}
    )
    register(app, app.eyas_functions, worker=app.eyas_worker, attempts=app.eyas_attempts)
    return app


def _dispatcher(app: EyasCelery, tracing: Tracing) -> Dispatcher:
    settings, store, functions = app.eyas_settings, app.eyas_store, app.eyas_functions

    def celery_result(
        invocation_id: str, error: BaseException, *, traceback: str, is_retried: bool
    ) -> bytes:
        result: bytes = app.backend.error_result(
            invocation_id, error, traceback=traceback, is_retried=is_retried
        )
        return result

    return Dispatcher(
        lanes=Lanes(functions=functions, settings=settings),
        settings=settings,
        store=store,
        work=Work(
            functions=functions,
            max_result_bytes=settings.max_result_bytes,
            celery_result=celery_result,
            read_payload=lambda invocation_id: store.insist(records.read_payload(invocation_id)),
            read_calling=lambda invocation_id: store.insist(records.read_calling(invocation_id)),
        ),
        settling=Settling(
            worker=app.eyas_worker,
            debts=Debts(store=store, url=settings.broker_url),
            settings=settings,
            celery_result=celery_result,
            audience=app.eyas_audience,
            tracing=tracing,
        ),
        # Celery's remote control changes the task's; to none, if it is only told a soft one.
        timeout_of=lambda name: float(
            app.tasks[name].time_limit or functions[name].timeout_seconds
        ),
    )


def _unique(name: str) -> str:
    # In the broker's keys a blank ends the name.
    return re.sub(r"\s", "_", name) + ":" + secrets.token_hex(4)


def create_worker(app: EyasCelery, *, name: str) -> Any:
    """Make this process's Celery worker. `name` tells it from others on this machine."""
    return app.Worker(
        hostname=f"{name}@{socket.gethostname()}",
        pool_cls="prefork",
        consumer_cls=Consumer,
        concurrency=app.eyas_settings.workers,
        # Workers that learn from each other: a second of start-up, and chatter, for nothing here.
        without_gossip=True,
        without_mingle=True,
        loglevel="INFO",
        quiet=True,
    )
