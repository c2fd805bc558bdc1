"""The worker's ear for what is handed over to it while it has nothing to do."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from runtime.errors import BrokerUnavailableError
from runtime.message import QUEUE
from runtime.store.claims import Ticket
from runtime.store.handover import Handover
from runtime.worker.steps import Periodic


class HandoverStep(Periodic):
    """Listens while the worker takes messages from the main queue.

    It begins before `LeaseRenewal` says that the worker takes messages, and so before anything is
    handed over. When its connection is lost, so may be something on its way: then the consumer
    connects anew, and gives back what the worker does not know of.
    """

    every_seconds = 1.0

    def __init__(self, consumer: Any, **options: Any) -> None:
        app = consumer.app
        self._handover = Handover(
            app.eyas_settings.broker_url,
            worker=app.eyas_worker,
            on_open=lambda fileno: consumer.hub.add_reader(fileno, self._receive, consumer),
            on_close=consumer.hub.remove,
            is_traced=app.eyas_is_traced,
        )
        super().__init__(consumer, **options)

    def start(self, consumer: Any) -> None:
        self.act(consumer)
        super().start(consumer)

    def stop(self, consumer: Any) -> None:
        super().stop(consumer)
        self._handover.close()

    def act(self, consumer: Any) -> None:
        """Listen or not, as remote control wants the main queue to be taken from or not."""
        # What it is to take from; at the start it does not yet.
        is_wanted = any(queue.name == QUEUE for queue in consumer.task_consumer.queues)
        with _as_celery_knows_it():
            if not self._handover.is_open:
                if is_wanted:
                    self._handover.open()
            elif is_wanted:
                self._take(consumer, self._handover.receive())
                self._handover.check()
            else:
                self._take(consumer, self._handover.end())

    def _receive(self, consumer: Any) -> None:
        with _as_celery_knows_it():
            self._take(consumer, self._handover.receive())

    @staticmethod
    def _take(consumer: Any, tickets: Iterable[Ticket]) -> None:
        for ticket in tickets:
            consumer.app.eyas_dispatcher.take([ticket])


@contextlib.contextmanager
def _as_celery_knows_it() -> Iterator[None]:
    """Raise, for a connection that is lost, what Celery knows of its own connections."""
    try:
        yield
    except BrokerUnavailableError as error:
        raise ConnectionError(str(error)) from error
