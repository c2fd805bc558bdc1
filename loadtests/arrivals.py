"""A constant arrival rate: when requests are due."""

import math
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Arrivals:
    """One process's share of arrivals that are evenly spaced over all processes.

    Arrival `n` of all is due `n / rate` seconds after the start and belongs to the process whose
    index is `n` modulo `processes`. `seconds` may be infinite.
    """

    rate: float
    seconds: float
    index: int = 0
    processes: int = 1
    taken: int = field(default=0, init=False)

    @property
    def scheduled(self) -> int:
        """How many arrivals there are in all processes together; needs finite `seconds`."""
        count = math.ceil(self.rate * self.seconds)
        # As `due` divides, whatever the multiplication rounded to.
        while count and (count - 1) / self.rate >= self.seconds:
            count -= 1
        while count / self.rate < self.seconds:
            count += 1
        return count

    def due(self, now: float) -> list[float]:
        """Take the arrivals due by `now` and not taken yet: their times, in order."""
        times = []
        while (time := self._next()) <= now:
            times.append(time)
            self.taken += 1
        return times

    def seconds_until_next(self, now: float) -> float:
        """How long until an arrival is due: 0 when one is, infinite when none will be."""
        return max(0.0, self._next() - now)

    def _next(self) -> float:
        time = (self.taken * self.processes + self.index) / self.rate
        return time if time < self.seconds else math.inf
