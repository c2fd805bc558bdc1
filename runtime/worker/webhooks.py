"""Sending webhooks: one POST to a URL, to no other address than one that was looked at."""

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator

from runtime import webhook
from runtime.errors import EyasError, PermanentError, Retry
from runtime.settings import Settings
from runtime.webhook import InvalidTargetError, Target

_SEND_SECONDS = 10.0
_CONNECT_SECONDS = 3.0
_MOST_ADDRESSES = 3
_SUCCESSFUL = range(200, 300)
_GONE = 410
_COME_BACK = (429, 503)
_ANSWER_BYTES = 10_000


class WebhookFailedError(EyasError):
    """The other side did not take a webhook."""


def send(
    url: str,
    body: bytes,
    *,
    content_type: str,
    message_id: str,
    trace_parent: str,
    settings: Settings,
) -> int:
    """Send a webhook, signed if there is a secret; return the HTTP status, which is a success.

    It is part of the trace of `trace_parent`, unless that is empty.
    Raises `PermanentError` if it may not be sent there, or is not wanted any more; `Retry` if the
    other side says when to come back; else `WebhookFailedError`.
    """
    try:
        target = Target.of(url)
        addresses = addresses_of(target, settings)
    except InvalidTargetError as error:
        raise PermanentError(str(error)) from None
    headers = {"content-type": content_type, "user-agent": "eyas"}
    if settings.callback_key is None:
        headers["webhook-id"] = message_id
    else:
        headers |= webhook.headers(
            key=settings.callback_key, message_id=message_id, timestamp=int(time.time()), body=body
        )
    if trace_parent:
        headers["traceparent"] = trace_parent
    status, retry_after = _send(target, addresses, body, headers)
    if status == _GONE:
        raise PermanentError("the other side answered 410: it wants no more of these")
    if status in _COME_BACK and retry_after is not None:
        raise Retry(f"the other side answered {status}", after=retry_after)
    if status not in _SUCCESSFUL:
        raise WebhookFailedError(f"the other side answered {status}")
    return status


def addresses_of(target: Target, settings: Settings) -> list[str]:
    """Look up a host.

    Raises `InvalidTargetError` if it can have no address, or any that it has is not allowed, and
    `WebhookFailedError` if none is found.
    """
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise InvalidTargetError(f"{target.host} is no name of a host") from None
    except OSError as error:
        raise WebhookFailedError(f"{target.host}: {error}") from None
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
        raise WebhookFailedError(f"{type(error).__name__}: {error}") from None
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
