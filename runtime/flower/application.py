"""Flower's web application, built from our settings."""

import time
from base64 import b64encode
from collections.abc import Collection
from hmac import compare_digest
from ipaddress import ip_address
from typing import Any

import structlog
from celery import Celery
from celery.events import EventReceiver
from flower.app import Flower
from flower.events import Events
from flower.options import options
from flower.urls import settings as flower_settings
from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest
from tornado.ioloop import IOLoop
from tornado.web import RequestHandler

from runtime.settings import Settings

_RECONNECT_SECONDS = 1.0
# Flower's default is 100,000, which takes some hundred megabytes of memory.
_MAX_TASKS = 10_000
_MISDIRECTED_REQUEST = 421
_UNAUTHORIZED = 401
_CLIENT_ERROR = 400
_SERVER_ERROR = 500

log = structlog.get_logger("flower")


class PatientEvents(Events):  # type: ignore[misc] # Flower has no types
    """Receives the workers' events, and connects again after the broker was away.

    Flower's own loop doubles its pause without limit and never starts over: after an outage of
    five minutes it stays blind for up to eight more.
    """

    def run(self) -> None:
        """Receive until the process ends; this is a daemon thread."""
        connected = True
        while True:
            try:
                with self.capp.connection() as connection:
                    receiver = EventReceiver(
                        connection, handlers={"*": self.on_event}, app=self.capp
                    )
                    log.info("flower.connected")
                    connected = True
                    receiver.capture(limit=None, timeout=None, wakeup=True)
            except Exception as error:  # noqa: BLE001 whatever it was, without this thread Flower shows nothing new
                if connected:
                    log.warning("flower.disconnected", error=str(error))
                connected = False
            time.sleep(_RECONNECT_SECONDS)


class GuardedFlower(Flower):  # type: ignore[misc] # Flower has no types
    """Flower with two gaps closed.

    With `credentials` (`user:password`), every page asks for them. Flower itself shows `/metrics`,
    and in it the names of functions and workers, to everybody.

    Without, it is safe from web pages of other sites: a page can make its own host name mean
    127.0.0.1 and then read what is shown there, payloads among it (DNS rebinding), but its requests
    still say that host name.
    """

    def __init__(
        self, *, credentials: str | None, allowed_hosts: Collection[str], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._authorization = (
            b"Basic " + b64encode(credentials.encode()) if credentials is not None else None
        )
        self._allowed_hosts = allowed_hosts

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> HTTPMessageDelegate:
        """Return what answers `request`."""
        handler: HTTPMessageDelegate
        if self._authorization is None:
            if not is_host_allowed(request.host_name, self._allowed_hosts):
                handler = self.get_handler_delegate(request, _WrongHost)
                return handler
        elif not compare_digest(
            request.headers.get("Authorization", "").encode(), self._authorization
        ):
            handler = self.get_handler_delegate(request, _Unauthorized)
            return handler
        handler = super().find_handler(request, **kwargs)
        return handler


class _Unauthorized(RequestHandler):
    async def prepare(self) -> None:
        self.set_status(_UNAUTHORIZED)
        self.set_header("WWW-Authenticate", 'Basic realm="flower", charset="UTF-8"')
        await self.finish()


class _WrongHost(RequestHandler):
    async def prepare(self) -> None:
        self.set_status(_MISDIRECTED_REQUEST)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        await self.finish(
            "expected the host localhost, an IP address, or a name in EYAS_ALLOWED_HOSTS\n"
        )


def is_host_allowed(host: str, allowed_hosts: Collection[str]) -> bool:
    """Tell whether a request may be addressed to `host`, given without a port."""
    host = host.lower()
    if host == "localhost" or host in allowed_hosts or "*" in allowed_hosts:
        return True
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def create_celery(settings: Settings) -> Celery:
    """Make the Celery application through which Flower sees the workers of the broker."""
    return Celery(broker=settings.broker_url, backend=settings.broker_url, set_as_current=False)


def create_flower(settings: Settings, *, celery: Celery) -> Flower:
    """Build Flower for the workers of `celery`'s broker; it does not listen yet."""
    options.address = settings.flower_host
    options.port = settings.flower_port
    options.basic_auth = [settings.flower_basic_auth] if settings.flower_basic_auth else []
    io_loop = IOLoop.current()
    return GuardedFlower(
        credentials=settings.flower_basic_auth,
        allowed_hosts=settings.allowed_hosts,
        options=options,
        capp=celery,
        io_loop=io_loop,
        events=PatientEvents(celery, io_loop, max_tasks_in_memory=_MAX_TASKS),
        log_function=_log_request,
        **flower_settings,
    )


def _log_request(handler: RequestHandler) -> None:
    """Log one request, without its query: that may hold a search for a payload."""
    status = handler.get_status()
    if status >= _SERVER_ERROR:
        write = log.error
    elif status >= _CLIENT_ERROR:
        write = log.info
    else:
        write = log.debug  # an open page asks every few seconds
    write(
        "flower.request",
        method=handler.request.method,
        path=handler.request.path,
        status=status,
        duration_ms=round(handler.request.request_time() * 1000, 1),
    )
