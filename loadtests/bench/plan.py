"""What a load is to be, and what came of it."""

from array import array
from collections import Counter
from dataclasses import dataclass, field

HOST = "127.0.0.1"


class LoadError(Exception):
    """The load could not be measured; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to send to a port of this machine, and for how long.

    With `rate`, requests are due that often per second in all (open loop), and their latency counts
    from when they were due. With `requests`, the load ends after so many.
    """

    port: int
    request: bytes
    connections: int = 32
    seconds: float = 3.0
    warm_up_seconds: float = 0.5
    rate: float | None = None
    requests: int | None = None
    keep_bodies: int = 0


@dataclass(slots=True, kw_only=True)
class Measured:
    """What was answered: in all, and from the end of the warm-up to the end of the time."""

    seconds: float = 0.0
    answers: Counter[int] = field(default_factory=Counter)
    all_answers: Counter[int] = field(default_factory=Counter)
    unanswered: int = 0
    latencies: "array[float]" = field(default_factory=lambda: array("d"))
    bodies: list[bytes] = field(default_factory=list)
    cpu_seconds: float = 0.0

    def add(self, other: "Measured") -> None:
        """Add what was measured at another time."""
        self.seconds += other.seconds
        self.answers.update(other.answers)
        self.all_answers.update(other.all_answers)
        self.unanswered += other.unanswered
        self.latencies.extend(other.latencies)
        self.bodies += other.bodies
        self.cpu_seconds += other.cpu_seconds

    def rate(self, status: int) -> float:
        """Answers of a status per second. Raises `LoadError` if there were any other."""
        others = {s: n for s, n in self.all_answers.items() if s != status}
        if others or self.unanswered or not self.answers[status]:
            raise LoadError(
                f"{self.answers[status]} answers with status {status}, "
                f"others by status: {others}, requests without an answer: {self.unanswered}"
            )
        return self.answers[status] / self.seconds

    def percentile_ms(self, percent: float) -> float:
        """The latency in ms that `percent` of the answers in time do not exceed."""
        if not self.latencies:
            raise LoadError("no answer in time, so no latency")
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1000
