"""What a worker has to tell the broker, in order, however long the broker is away."""

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import structlog

from runtime.errors import BrokerUnavailableError
from runtime.store import Courier, Store
from runtime.store.step import Step

T = TypeVar("T")

_log = structlog.get_logger("worker")

_REPLY_SECONDS = 2.0
_PAUSE_SECONDS = 0.3


class Ear(Protocol):
    """Listens to sockets, for an event loop."""

    def hear(self, fileno: int, call: Callable[[], None]) -> None:
        """Call `call` whenever there is something to read."""

    def forget(self, fileno: int) -> None:
        """Listen no more."""


class Debts:
    """Steps that must be carried out, one after the other; each is tried until it was.

    A step may be carried out twice, if its answer was lost. With an `ear` nobody waits for answers.
    """

    def __init__(self, *, store: Store, url: str) -> None:
        self._store = store
        self._owed: deque[tuple[Step[Any], Callable[[Any], None]]] = deque()
        self._not_before = 0.0
        self._ear: Ear | None = None
        self._courier = Courier(
            url,
            reply_seconds=_REPLY_SECONDS,
            on_open=self._listen,
            on_close=self._forget,
        )

    def __len__(self) -> int:
        return len(self._owed)

    @property
    def are_overdue(self) -> bool:
        """Whether the broker is away."""
        return bool(self._owed) and self._not_before > 0

    def pay_through(self, ear: Ear | None) -> None:
        """Wait for no answer from now on; without an ear, for each."""
        # What was under way is done again, or was never begun.
        self._courier.close()
        self._ear = ear
        self.pay()

    def owe(self, step: Step[T], then: Callable[[T], None] = lambda _: None) -> None:
        """Carry out a step, now or as soon as the broker serves; `then` is called once, after."""
        self._owed.append((step, then))
        self.pay()

    def pay(self) -> None:
        """Go on with what is owed."""
        if self._courier.is_late:
            self._put_off(BrokerUnavailableError("the broker does not answer"))
        while self._owed and not self._courier.is_under_way:
            if time.monotonic() < self._not_before:
                return
            step, _ = self._owed[0]
            try:
                if self._ear is not None:
                    self._courier.send(step)
                    return
                self._settle(self._store.run(step))
            except BrokerUnavailableError as error:
                self._put_off(error)

    def _hear(self) -> None:
        if not self._courier.is_under_way:
            self._courier.close()  # the broker has hung up
            return
        try:
            answer = self._courier.receive()
        except BrokerUnavailableError as error:
            self._put_off(error)
            return
        self._settle(answer)
        self.pay()

    def _settle(self, answer: Any) -> None:
        if self._not_before:
            _log.info("store.recovered")
            self._not_before = 0.0
        _, then = self._owed.popleft()
        then(answer)

    def _put_off(self, error: BrokerUnavailableError) -> None:
        self._courier.close()
        if not self._not_before:
            _log.warning("store.waiting", reason=str(error))
        self._not_before = time.monotonic() + _PAUSE_SECONDS

    def _listen(self, fileno: int) -> None:
        if self._ear is not None:
            self._ear.hear(fileno, self._hear)

    def _forget(self, fileno: int) -> None:
        if self._ear is not None:
            self._ear.forget(fileno)
