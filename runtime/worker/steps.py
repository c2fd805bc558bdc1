"""What the worker's parent process does beside passing messages: signs of life, leases, events."""

import time
from typing import Any, ClassVar

import structlog
from celery import bootsteps

from runtime.errors import BrokerUnavailableError
from runtime.store import steps

_log = structlog.get_logger("worker")

LEASE_SECONDS = 6
_SIGN_LAPSES_SECONDS = 4.0


class _Periodic(bootsteps.StartStopStep):  # type: ignore[misc]
    """Does something again and again, in the consumer's loop, while it consumes."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
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


class SignOfLife(_Periodic):
    """Tells the broker, while this worker consumes, that it does: `/readyz` looks there."""

    every_seconds = 1.0

    def start(self, consumer: Any) -> None:
        self.act(consumer)
        _log.info("worker.ready", worker=consumer.hostname)
        super().start(consumer)

    def stop(self, consumer: Any) -> None:
        super().stop(consumer)
        self._give(consumer, lapses_after_seconds=0)

    def act(self, consumer: Any) -> None:
        self._give(consumer, lapses_after_seconds=_SIGN_LAPSES_SECONDS)

    @staticmethod
    def _give(consumer: Any, *, lapses_after_seconds: float) -> None:
        step = steps.sign_of_life(consumer.hostname, lapses_after_seconds=lapses_after_seconds)
        try:
            consumer.app.eyas_store.run(step)
        except BrokerUnavailableError as error:
            _log.debug("worker.sign_failed", reason=str(error))


class LeaseRenewal(_Periodic):
    """Renews the lease of every message that this worker holds.

    kombu redelivers a message when its visibility timeout has passed since it was claimed, even if
    its worker is well and still busy with it. Renewed, a short timeout is a lease: it ends only
    when the worker is gone, and then at once.
    """

    every_seconds = 1.5

    def act(self, consumer: Any) -> None:
        channel = consumer.task_consumer.channel
        qos = channel.qos
        now = time.time()
        held = {tag: now for tag in qos._delivered if tag not in qos._dirty}  # noqa: SLF001
        if not held:
            return
        try:
            with channel.conn_or_acquire() as client:
                client.zadd(channel.unacked_index_key, held, xx=True)
        except channel.connection_errors as error:
            # The consumer notices the lost connection by itself and connects again.
            _log.debug("lease.renewal_failed", reason=str(error))


class EventsTogether(_Periodic):
    """Sends the events that Flower shows four times a second, or 24 at once.

    Celery would send those of each turn of its loop by themselves. Measured under load, that took
    a third of the time of this process, which every message has to pass.
    """

    every_seconds = 0.25

    def start(self, consumer: Any) -> None:
        consumer.event_dispatcher.on_send_buffered = None
        super().start(consumer)

    def act(self, consumer: Any) -> None:
        dispatcher = consumer.event_dispatcher
        try:
            dispatcher.flush()
        except dispatcher.connection.connection_errors as error:
            # They are kept, and sent after the consumer has connected again.
            _log.debug("events.not_sent", reason=str(error))
