"""What the worker's parent process does beside passing messages: its lease, cancelling, events."""

import os
import signal
import time
from typing import Any, ClassVar

import structlog
from celery import bootsteps
from celery.worker import state

from runtime.errors import BrokerUnavailableError
from runtime.store import claims
from runtime.worker.lease import RENEWED_EVERY_SECONDS

_log = structlog.get_logger("worker")


def pool_process_of(invocation_id: str) -> int | None:
    """Return the pid of the pool process that runs an invocation, if one does."""
    request = _active(invocation_id)
    return request.worker_pid if request is not None else None


def _active(invocation_id: str) -> Any:
    """Return Celery's request of an invocation that runs; None if it does not."""
    request = state.requests.get(invocation_id)
    return request if request in state.active_requests else None


class Periodic(bootsteps.StartStopStep):  # type: ignore[misc]
    """Does something again and again, in the consumer's loop, while it consumes."""

    requires: ClassVar[tuple[Any, ...]] = ("celery.worker.consumer.tasks:Tasks",)
    every_seconds: ClassVar[float]

    def __init__(self, consumer: Any, **_: Any) -> None:
        self._timer: Any = None
        super().__init__(consumer)

    def start(self, consumer: Any) -> None:
        self._timer = consumer.timer.call_repeatedly(self.every_seconds, self.act, (consumer,))

    def stop(self, consumer: Any) -> None:
        del consumer
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def act(self, consumer: Any) -> None:
        raise NotImplementedError


class LeaseRenewal(Periodic):
    """Renews the worker's lease, and stops what the broker says shall be stopped.

    The lease is one for everything that the worker holds, however long its attempts run. Without
    renewals the scheduler gives it all to others.
    """

    requires: ClassVar[tuple[Any, ...]] = (
        *Periodic.requires,
        "runtime.worker.handover_step:HandoverStep",
    )
    every_seconds = RENEWED_EVERY_SECONDS

    def start(self, consumer: Any) -> None:
        app = consumer.app
        # What was on its way to a process when a connection broke is not run here any more.
        app.eyas_store.insist(claims.acknowledge(app.eyas_worker, app.eyas_acknowledged))
        app.eyas_acknowledged.clear()
        given_back = app.eyas_dispatcher.give_back_waiting()
        given_back += app.eyas_store.insist(
            claims.requeue_unstarted(app.eyas_worker, kept=app.eyas_dispatcher.kept())
        )
        self.act(consumer)
        self._stop_what_was_lost(consumer)
        _log.info("worker.ready", worker=consumer.hostname, given_back=given_back)
        super().start(consumer)

    def stop(self, consumer: Any) -> None:
        super().stop(consumer)
        self._renew(consumer, consumes=False)

    def act(self, consumer: Any) -> None:
        renewed = self._renew(consumer, consumes=True)
        if renewed is None:
            return
        for invocation_id in renewed.to_stop:
            self.cancel(consumer, invocation_id)
        if renewed.has_lapsed:
            self._stop_what_was_lost(consumer)
            consumer.app.eyas_dispatcher.lease_ends_at = time.monotonic() + claims.LEASE_SECONDS / 2

    @staticmethod
    def _renew(consumer: Any, *, consumes: bool) -> claims.Renewed | None:
        app = consumer.app
        asked_at = time.monotonic()
        try:
            renewed: claims.Renewed = app.eyas_store.run(
                claims.renew(app.eyas_worker, consumes=consumes)
            )
        except BrokerUnavailableError as error:
            # The consumer notices the lost connection by itself and connects again.
            _log.debug("lease.not_renewed", reason=str(error))
            return None
        if not renewed.has_lapsed:
            app.eyas_dispatcher.lease_ends_at = asked_at + claims.LEASE_SECONDS
        return renewed

    @staticmethod
    def cancel(consumer: Any, invocation_id: str) -> None:
        """Stop an invocation that somebody has cancelled, if it is here."""
        if consumer.app.eyas_dispatcher.stop(invocation_id):
            return
        request = _active(invocation_id)
        if request is not None:
            _log.info("attempt.cancelled", invocation_id=invocation_id, function=request.name)
            request.terminate(consumer.pool, signal="KILL")

    @staticmethod
    def _stop_what_was_lost(consumer: Any) -> None:
        """Kill the processes whose attempts were given to others while nothing was heard of us."""
        app = consumer.app
        held = set(app.eyas_store.insist(claims.read_tags(app.eyas_worker)))
        app.eyas_dispatcher.drop_lost(held)
        for request in list(state.active_requests):
            tag = (request.request_dict.get("properties") or {}).get("delivery_tag")
            if tag not in held and request.worker_pid:
                _log.warning("attempt.lost", invocation_id=request.id, function=request.name)
                os.kill(request.worker_pid, signal.SIGKILL)


class PoolMending(Periodic):
    """Replaces pool processes that have died, and gives their invocations back, soon.

    Celery does at the moment when it hears of a death, which is often too early for the system to
    confirm it, and then again only every 5 seconds.
    """

    every_seconds = 0.25

    def act(self, consumer: Any) -> None:
        consumer.pool.maintain_pool()


class EventsTogether(Periodic):
    """Sends the events that Flower shows four times a second, or 24 at once.

    Celery would send those of each turn of its loop by themselves. Measured under load, that took
    a third of the time of this process, which every message has to pass.
    """

    every_seconds = 0.25

    def start(self, consumer: Any) -> None:
        consumer.event_dispatcher.on_send_buffered = None
        consumer.app.eyas_audience.connect(consumer.event_dispatcher)
        super().start(consumer)

    def act(self, consumer: Any) -> None:
        dispatcher = consumer.event_dispatcher
        try:
            dispatcher.flush()
        except dispatcher.connection.connection_errors as error:
            # They are kept, and sent after the consumer has connected again.
            _log.debug("events.not_sent", reason=str(error))
