"""Carrying steps out without waiting: for a worker's event loop, which has other things to do."""

import time
from collections.abc import Callable
from typing import Any

from redis.exceptions import NoScriptError

from runtime.errors import BrokerUnavailableError
from runtime.store.client import connection_pool, translated
from runtime.store.step import Step, load


class Courier:
    """Has one step under way at a time.

    `on_open` and `on_close` are told the number of the socket to listen to. When it is readable,
    `receive` has the answer.
    """

    def __init__(
        self,
        url: str,
        *,
        reply_seconds: float,
        on_open: Callable[[int], None],
        on_close: Callable[[int], None],
    ) -> None:
        self._pool = connection_pool(url, reply_seconds=reply_seconds)
        self._reply_seconds = reply_seconds
        self._on_open = on_open
        self._on_close = on_close
        self._connection: Any = None
        self._fileno: int | None = None
        self._step: Step[Any] | None = None
        self._sent_at = 0.0

    @property
    def is_under_way(self) -> bool:
        return self._step is not None

    @property
    def is_late(self) -> bool:
        """Whether the answer has been waited for too long."""
        return self.is_under_way and time.monotonic() - self._sent_at > self._reply_seconds

    def send(self, step: Step[Any]) -> None:
        """Send a step. Raises `BrokerUnavailableError`: it may have been carried out."""
        self._step = step
        self._sent_at = time.monotonic()
        try:
            with translated():
                if self._connection is None:
                    self._connection = self._pool.make_connection()
                    self._connection.connect()
                    self._fileno = self._connection._sock.fileno()  # noqa: SLF001  no public way
                    self._on_open(self._fileno)
                self._connection.send_command(*step.command)
        except BrokerUnavailableError:
            self.close()
            raise

    def receive(self) -> Any:
        """Return the answer to the step under way. Raises `BrokerUnavailableError`, as above."""
        step, self._step = self._step, None
        try:
            with translated():
                try:
                    reply = self._connection.read_response()
                except NoScriptError:
                    # The first time, and after the broker was started anew.
                    reply = self._load_and_retry(step)
        except BrokerUnavailableError:
            self.close()
            raise
        return None if step is None else step.parse(reply)

    def _load_and_retry(self, step: Step[Any] | None) -> Any:
        if step is None:
            return None
        for command in (load(step).arguments, step.command):
            self._connection.send_command(*command)
            reply = self._connection.read_response()
        return reply

    def close(self) -> None:
        """Hang up; what is under way may be carried out nevertheless."""
        self._step = None
        if self._connection is not None:
            if self._fileno is not None:
                self._on_close(self._fileno)
            self._fileno = None
            self._connection.disconnect()
            self._connection = None
