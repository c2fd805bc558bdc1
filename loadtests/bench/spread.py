"""Medians and spread of repeated measurements, and ratios of two sides of the same rounds."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The median of several values, the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Summarize at least one value."""
        return cls(median=statistics.median(values), low=min(values), high=max(values))

    def text(self, form: Callable[[float], str]) -> str:
        """Write the median, and in brackets the range if there is one."""
        if self.low == self.high:
            return form(self.median)
        return f"{form(self.median)} ({form(self.low)} to {form(self.high)})"

    def to_json(self) -> dict[str, Any]:
        return {"median": self.median, "low": self.low, "high": self.high}


def ratio(over: Sequence[float], under: Sequence[float]) -> Spread:
    """Return the spread of one side divided by the other, round by round.

    Machines drift: only what was measured in the same round is divided.
    """
    return Spread.of([above / below for above, below in zip(over, under, strict=True)])


def marked_rate(
    samples: Sequence[tuple[float, int]], total: int, *, low: float = 0.1, high: float = 0.9
) -> float:
    """Return how many were finished per second, between two marks of the whole.

    `samples` are times in seconds and how many were finished by then. The time when a mark was
    passed is interpolated between the samples around it. Raises `ValueError` if one was not passed.
    """
    start, end = (_passed(samples, total * mark) for mark in (low, high))
    return total * (high - low) / (end - start)


def _passed(samples: Sequence[tuple[float, int]], mark: float) -> float:
    for (earlier, before), (later, after) in pairwise(samples):
        if before <= mark < after:
            return earlier + (later - earlier) * (mark - before) / (after - before)
    raise ValueError(f"the mark of {mark:g} was not passed")
