"""Callbacks: telling a URL what became of an invocation.

A callback is an invocation of its own, of the function here, which is queued by the step that ends
the first one. So it is as durable as any: it is retried, it may become a dead letter, and the logs
tell of it.
"""

from typing import Any

import msgspec

from runtime.context import Context
from runtime.errors import PermanentError
from runtime.function import Function
from runtime.invocation import Record
from runtime.moments import rfc3339
from runtime.settings import Settings
from runtime.store import Store
from runtime.store.telling import CALLBACK
from runtime.worker import webhooks
from runtime.worker.telling import read_ended, telling_function

_CLOUDEVENT = "application/cloudevents+json; charset=utf-8"


def callback_function(settings: Settings, store: Store) -> Function[..., Any]:
    """Return the function that carries out callbacks."""

    def callback(
        invocation_id: str, url: str, context: Context, trace_parent: str = ""
    ) -> int | None:
        """Send a CloudEvent that says what became of an invocation; return the HTTP status.

        None if there is nothing to say: it was redriven, and its next end has its own callback.
        """
        if settings.callback_key is None:
            raise PermanentError("EYAS_CALLBACK_SECRET is not set here: nothing to sign with")
        record = read_ended(invocation_id, settings=settings, store=store)
        if record is None:
            return None
        return webhooks.send(
            url,
            event_of(record, message_id=context.invocation_id),
            content_type=_CLOUDEVENT,
            message_id=context.invocation_id,
            trace_parent=trace_parent,
            settings=settings,
        )

    return telling_function(CALLBACK, callback)


def event_of(record: Record, *, message_id: str) -> bytes:
    """Return the CloudEvent (1.0, JSON format) that tells of an invocation's end."""
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": message_id,
            "source": f"/functions/{record.function}",
            "type": f"dev.eyas.invocation.{record.status}",
            "subject": record.id,
            "time": rfc3339(record.finished_at_us),
            "datacontenttype": "application/json",
            "data": record.to_json(),
        }
    )
