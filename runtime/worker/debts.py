"""What a worker has to tell the broker, in order, however long the broker is away."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from runtime.errors import BrokerUnavailableError
from runtime.store import Store
from runtime.store.step import Step

T = TypeVar("T")

_log = structlog.get_logger("worker")

_PAUSE_SECONDS = 0.3


@dataclass(slots=True, kw_only=True)
class Debts:
    """Steps that must be carried out, one after the other; each is tried until it was.

    A step may be carried out twice, if its answer was lost.
    """

    store: Store
    _owed: deque[tuple[Step[Any], Callable[[Any], None]]] = field(default_factory=deque)
    _not_before: float = 0.0

    def __len__(self) -> int:
        return len(self._owed)

    def owe(self, step: Step[T], then: Callable[[T], None] = lambda _: None) -> None:
        """Carry out a step, now or as soon as the broker serves; `then` is called once, after."""
        self._owed.append((step, then))
        self.pay()

    def pay(self) -> bool:
        """Carry out what is owed; False if the broker is away."""
        while self._owed:
            if time.monotonic() < self._not_before:
                return False
            step, then = self._owed[0]
            try:
                answer = self.store.run(step)
            except BrokerUnavailableError as error:
                if not self._not_before:
                    _log.warning("store.waiting", reason=str(error))
                self._not_before = time.monotonic() + _PAUSE_SECONDS
                return False
            if self._not_before:
                _log.info("store.recovered")
                self._not_before = 0.0
            self._owed.popleft()
            then(answer)
        return True
