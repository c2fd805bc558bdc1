"""What has happened between two readings: rates, and quantiles of times. It is all pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from runtime.cli.readings import FunctionReading, Histogram, Reading

RATE_SECONDS = 5.0
TIMES_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Quantiles in seconds; None if there was nothing, infinite if above the highest limit."""

    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What one function does. Rates are per second."""

    name: str
    now: FunctionReading
    accepted_rate: float
    finished_rate: float
    failed_rate: float
    wait: Times
    run: Times

    @property
    def business(self) -> float:
        """Something that is higher the more there is to see."""
        open_count = self.now.queued + self.now.running + self.now.retrying
        return open_count + self.accepted_rate + self.finished_rate


def activities(readings: Sequence[Reading], *, times_since_start: bool = False) -> list[Activity]:
    """Return what the functions of the last reading do, in the order of their names.

    `readings` are of the last minute, oldest first, one at least, all from a broker that answered.
    Rates are of the last seconds. Times are of the last minute, or of all that was ever counted.
    """
    last = readings[-1]
    recent = _as_of(readings, last.at - RATE_SECONDS)
    past = _as_of(readings, last.at - TIMES_SECONDS)
    none = FunctionReading()
    found = []
    for name, now in sorted(last.functions.items()):
        before = recent.functions.get(name, none)
        seconds = last.at - recent.at
        base = none if times_since_start else past.functions.get(name, none)
        found.append(
            Activity(
                name=name,
                now=now,
                accepted_rate=_rate(before.accepted, now.accepted, seconds),
                finished_rate=_rate(before.finished, now.finished, seconds),
                failed_rate=_rate(before.failed, now.failed, seconds),
                wait=_times(base.wait, now.wait),
                run=_times(base.run, now.run),
            )
        )
    return found


def quantile(fraction: float, histogram: Histogram) -> float | None:
    """Return the time that this fraction of the observations did not exceed.

    Within a bucket it is interpolated, as Prometheus' `histogram_quantile` does.
    """
    total = histogram.counts[-1] if histogram.counts else 0
    if total <= 0:
        return None
    rank = fraction * total
    lower_limit, lower_count = 0.0, 0.0
    for limit, count in zip(histogram.limits, histogram.counts, strict=True):
        if count >= rank and count > lower_count:
            if math.isinf(limit):
                return math.inf
            share = (rank - lower_count) / (count - lower_count)
            return lower_limit + (limit - lower_limit) * share
        lower_limit, lower_count = limit, count
    return math.inf


def between(before: Histogram, after: Histogram) -> Histogram:
    """Return what was observed in between; after a reset, what was observed since."""
    if before.limits != after.limits:
        return after
    counts = tuple(b - a for a, b in zip(before.counts, after.counts, strict=True))
    return (
        after
        if any(count < 0 for count in counts)
        else Histogram(limits=after.limits, counts=counts)
    )


def _as_of(readings: Sequence[Reading], at: float) -> Reading:
    """Return the last reading from that time or before; else the first one there is."""
    return next((reading for reading in reversed(readings) if reading.at <= at), readings[0])


def _rate(before: float, after: float, seconds: float) -> float:
    if seconds <= 0:
        return 0.0
    # A reset, of an emulator, begins to count anew.
    return (after - before if after >= before else after) / seconds


def _times(before: Histogram, after: Histogram) -> Times:
    observed = between(before, after)
    return Times(p50=quantile(0.5, observed), p95=quantile(0.95, observed))
