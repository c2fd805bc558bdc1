"""What the users count, in a form that can be added up over processes."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

_DIGITS = 3


@dataclass(slots=True)
class Histogram:
    """How often each duration occurred, in microseconds kept to three significant figures."""

    counts: Counter[int] = field(default_factory=Counter)
    highest: int = 0

    def add(self, duration_ms: float) -> None:
        """Count one duration; a negative one counts as none."""
        duration = max(0, round(duration_ms * 1000))
        self.highest = max(self.highest, duration)
        self.counts[bucket(duration)] += 1

    def merge(self, other: "Histogram") -> None:
        """Add what another histogram counted."""
        self.counts.update(other.counts)
        self.highest = max(self.highest, other.highest)

    def since(self, earlier: "Histogram") -> "Histogram":
        """Return what was counted after an earlier copy; `highest` stays that of all."""
        return Histogram(self.counts - earlier.counts, self.highest)

    def copy(self) -> "Histogram":
        return Histogram(self.counts.copy(), self.highest)

    def __len__(self) -> int:
        return self.counts.total()

    def percentile(self, percent: float) -> float | None:
        """The duration in ms that `percent` of all do not exceed; `None` when there are none."""
        wanted = max(1, math.ceil(len(self) * percent / 100))
        for duration in sorted(self.counts):
            wanted -= self.counts[duration]
            if wanted <= 0:
                return min(duration, self.highest) / 1000
        return None

    def percentiles(self) -> dict[str, float | None]:
        """The ones of the report, in ms."""
        of = self.percentile
        return {
            "p50": of(50),
            "p95": of(95),
            "p99": of(99),
            "p99.9": of(99.9),
            "max": self.highest / 1000 if self else None,
        }


@dataclass(slots=True, kw_only=True)
class Tally:
    """What one process, or all of them, sent and was answered.

    Invocations are counted by `accepted`, by `measured` (accepted, and sent after the warm-up) and
    by `unknown` (of requests without an answer: they may have been accepted). Requests are counted
    by the others; of batches there are fewer. `latency` has the accepted requests that are
    measured, everything else counts from the start. `lateness` is how long after its time the
    generator started a request.
    """

    sent: int = 0
    accepted: int = 0
    measured: int = 0
    unknown: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    latency: Histogram = field(default_factory=Histogram)
    lateness: Histogram = field(default_factory=Histogram)
    ids: list[str] = field(default_factory=list)
    cpu_seconds: float = 0.0

    def merge(self, other: "Tally") -> None:
        """Add what another process counted."""
        self.sent += other.sent
        self.accepted += other.accepted
        self.measured += other.measured
        self.unknown += other.unknown
        self.failures.update(other.failures)
        self.latency.merge(other.latency)
        self.lateness.merge(other.lateness)
        self.ids.extend(other.ids)
        self.cpu_seconds += other.cpu_seconds

    def to_wire(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "sent": self.sent,
            "accepted": self.accepted,
            "measured": self.measured,
            "unknown": self.unknown,
            "failures": dict(self.failures),
            "latency": [dict(self.latency.counts), self.latency.highest],
            "lateness": [dict(self.lateness.counts), self.lateness.highest],
            "ids": self.ids,
            "cpu_seconds": self.cpu_seconds,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Return what `to_wire` wrote."""
        latency, lateness = wire["latency"], wire["lateness"]
        return cls(
            sent=wire["sent"],
            accepted=wire["accepted"],
            measured=wire["measured"],
            unknown=wire["unknown"],
            failures=Counter(wire["failures"]),
            latency=Histogram(Counter(latency[0]), latency[1]),
            lateness=Histogram(Counter(lateness[0]), lateness[1]),
            ids=list(wire["ids"]),
            cpu_seconds=wire["cpu_seconds"],
        )


def bucket(duration: int) -> int:
    """Round to three significant figures, so that a histogram stays small."""
    return round(duration, min(0, _DIGITS - len(str(duration))))
