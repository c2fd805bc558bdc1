"""Things done again and again, each at its own pace and with its own connection."""

import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import structlog

from runtime.errors import BrokerUnavailableError
from runtime.store import Store, claims, upkeep

log = structlog.get_logger("scheduler")

_WAIT_SECONDS = 0.5


@dataclass(slots=True, kw_only=True)
class Chore(ABC):
    """Something that a scheduler does again and again until it is stopped."""

    store: Store
    _stopped: threading.Event = field(default_factory=threading.Event)

    @abstractmethod
    def act(self) -> float:
        """Do it once; return the seconds until the next time. Raises `BrokerUnavailableError`."""

    def run(self) -> None:
        """Go on until `stop`; a broker that is away is waited for."""
        is_waiting = False
        pause = 0.0
        while not self._stopped.wait(pause):
            try:
                pause = self.act()
            except BrokerUnavailableError as error:
                if not is_waiting:
                    log.warning(
                        "scheduler.waiting", chore=type(self).__name__.lower(), reason=str(error)
                    )
                is_waiting = True
                pause = _WAIT_SECONDS
            else:
                if is_waiting:
                    log.info("scheduler.recovered", chore=type(self).__name__.lower())
                is_waiting = False

    def stop(self) -> None:
        """Let `run` return; from any thread."""
        self._stopped.set()


@dataclass(slots=True, kw_only=True)
class QueueDue(Chore):
    """Puts delayed invocations into the queue when their time has come."""

    every_seconds: float = 0.2  # only what is delayed for less can be late by that
    most: int = 500

    def act(self) -> float:
        """Queue what is due, and look again when the next one may be."""
        due = self.store.run(upkeep.queue_due(limit=self.most))
        if due.moved:
            log.debug("invocations.due", count=due.moved)
        if due.moved == self.most:
            return 0.0
        if due.next_seconds is None:
            return self.every_seconds
        return min(self.every_seconds, due.next_seconds + 0.001)


@dataclass(slots=True, kw_only=True)
class SweepLeases(Chore):
    """Gives back what workers hold that have not been heard of for the time of a lease."""

    every_seconds: float = 0.5

    def act(self) -> float:
        """Look at all leases once."""
        for lapsed in self.store.run(claims.sweep(gap_seconds=2 * self.every_seconds)):
            log.warning(
                "lease.lapsed",
                worker=lapsed.worker,
                given_back=lapsed.messages,
                since_seconds=round(lapsed.since_seconds, 3),
            )
        return self.every_seconds
