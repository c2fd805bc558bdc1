"""Callbacks: telling a URL what became of an invocation.

A callback is an invocation of its own, of the function here, which is queued by the step that ends
the first one. So it is as durable as any: it is retried, it may become a dead letter, and the logs
tell of it.
"""

import contextlib
import dataclasses
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from runtime import webhook
from runtime.context import Context
from runtime.errors import EyasError, PermanentError, Retry
from runtime.function import Function, function
from runtime.invocation import Record
from runtime.moments import rfc3339
from runtime.settings import Settings
from runtime.store import Store, records
from runtime.store.callbacks import FUNCTION, MAX_AGE_SECONDS, RETRIES, TIMEOUT_SECONDS
from runtime.webhook import InvalidTargetError, Target

_SEND_SECONDS = 10.0
_CONNECT_SECONDS = 3.0
_MOST_ADDRESSES = 3
_BACKOFF_SECONDS = 4.0
_LONGEST_BACKOFF_SECONDS = 3600.0
# What is more waits in the broker, as there is always a thread left. In a worker it would keep
# others from being claimed: a URL that does not answer must not stop all functions.
_AT_A_TIME = 32
_SUCCESSFUL = range(200, 300)
_GONE = 410
_COME_BACK = (429, 503)
_ANSWER_BYTES = 10_000


class CallbackFailedError(EyasError):
    """The other side did not take a callback."""


def callback_function(settings: Settings, store: Store) -> Function[..., Any]:
    """Return the function that carries out callbacks; its name is none that users can give."""

    @function(
        name="callback",
        threads=_AT_A_TIME + 1,
        concurrency=_AT_A_TIME,
        timeout=TIMEOUT_SECONDS,
        retries=RETRIES,
        backoff=_BACKOFF_SECONDS,
        backoff_max=_LONGEST_BACKOFF_SECONDS,
        max_age=MAX_AGE_SECONDS,
    )
    def callback(invocation_id: str, url: str, context: Context) -> int | None:
        """Send a CloudEvent that says what became of an invocation; return the HTTP status.

        None if there is nothing to say: it was redriven, and its next end has its own callback.
        """
        if settings.callback_key is None:
            raise PermanentError("EYAS_CALLBACK_SECRET is not set here: nothing to sign with")
        record = store.run(records.read(invocation_id, retention=settings.retention))
        if not isinstance(record, Record):
            raise PermanentError(f"the record of {invocation_id} is not kept any more")
        if not record.is_terminal:
            return None
        try:
            target = Target.of(url)
            addresses = addresses_of(target, settings)
        except InvalidTargetError as error:
            raise PermanentError(str(error)) from None
        body = event_of(record, message_id=context.invocation_id)
        headers = {
            "content-type": "application/cloudevents+json; charset=utf-8",
            "user-agent": "eyas",
            **webhook.headers(
                key=settings.callback_key,
                message_id=context.invocation_id,
                timestamp=int(time.time()),
                body=body,
            ),
        }
        status, retry_after = _send(target, addresses, body, headers)
        if status == _GONE:
            raise PermanentError("the other side answered 410: it wants no more of these")
        if status in _COME_BACK and retry_after is not None:
            raise Retry(f"the other side answered {status}", after=retry_after)
        if status not in _SUCCESSFUL:
            raise CallbackFailedError(f"the other side answered {status}")
        return status

    return dataclasses.replace(callback, name=FUNCTION)


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


def addresses_of(target: Target, settings: Settings) -> list[str]:
    """Look up a host.

    Raises `InvalidTargetError` if it can have no address, or any that it has is not allowed, and
    `CallbackFailedError` if none is found.
    """
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise InvalidTargetError(f"{target.host} is no name of a host") from None
    except OSError as error:
        raise CallbackFailedError(f"{target.host}: {error}") from error
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    if not target.is_allowed(settings.callback_hosts) and any(map(webhook.is_internal, addresses)):
        raise webhook.forbidden(target.host)
    return addresses


def _send(
    target: Target, addresses: list[str], body: bytes, headers: dict[str, str]
) -> tuple[int, float | None]:
    """Return the answer's status, and after how many seconds to come back, if it says so.

    The address is one that was looked at: a second look-up might find another. Redirections are
    not followed.
    """
    connection = _connection(target)
    ends_at = time.monotonic() + _SEND_SECONDS
    try:
        connection.sock = plain = _connected(target, addresses)
        with _cut_off(plain, ends_at):
            if target.is_secure:
                context = ssl.create_default_context()
                connection.sock = context.wrap_socket(plain, server_hostname=target.host)
            connection.request("POST", target.path, body, {"host": target.authority, **headers})
            answer = connection.getresponse()
            answer.read(_ANSWER_BYTES)
        after = answer.headers.get("retry-after", "")
        return answer.status, float(after) if after.isdecimal() else None
    except (OSError, http.client.HTTPException) as error:
        raise CallbackFailedError(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()


def _connection(target: Target) -> http.client.HTTPConnection:
    kind = http.client.HTTPSConnection if target.is_secure else http.client.HTTPConnection
    return kind(target.host, target.port, timeout=_SEND_SECONDS)


def _connected(target: Target, addresses: list[str]) -> socket.socket:
    failure: OSError = OSError("no address")
    for address in addresses[:_MOST_ADDRESSES]:
        try:
            return socket.create_connection((address, target.port), timeout=_CONNECT_SECONDS)
        except OSError as error:
            failure = error
    raise failure


@contextlib.contextmanager
def _cut_off(connection: socket.socket, ends_at: float) -> Iterator[None]:
    """End a connection at a time (monotonic), however slowly the other side goes on speaking.

    A thread cannot be stopped but with its process, and with all else that runs there.
    """

    def cut() -> None:
        with contextlib.suppress(OSError):
            same.shutdown(socket.SHUT_RDWR)

    with connection.dup() as same:  # TLS takes the first one over
        timer = threading.Timer(max(0.0, ends_at - time.monotonic()), cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
