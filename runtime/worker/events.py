"""The events that Flower shows: nobody waits for one to be sent."""

from typing import Any

from celery.app.events import Events as CeleryEvents
from celery.events.dispatcher import EventDispatcher as CeleryEventDispatcher


class EventDispatcher(CeleryEventDispatcher):  # type: ignore[misc]
    """Keeps for later what cannot be sent now.

    Celery tries for ever to send a heartbeat, and does so in the event loop. In the moment in which
    the broker goes away, nothing else would be done any more: no deadline would be kept, and the
    worker would not stop when it is told to.
    """

    def send(self, type: str, blind: bool = False, **terms: Any) -> None:  # noqa: A002, FBT001, FBT002  as Celery calls it
        super().send(type, blind, **terms | {"retry": False})


class Events(CeleryEvents):  # type: ignore[misc]
    """The events of an application."""

    dispatcher_cls = EventDispatcher
