"""How long attempts take lately, and how many messages a worker should therefore hold."""

from dataclasses import dataclass, field

_WEIGHT = 0.2
# What each attempt costs beside its handler.
_OVERHEAD_SECONDS = 50e-6
_QUEUED_SECONDS = 0.01
_HELD_SECONDS = 0.05
_MOST_QUEUED = 64
_MOST_HELD = 128


@dataclass(slots=True)
class Pace:
    """Running means of run times, which forget quickly.

    What has never run counts as slow: it waits for an executor that is idle.
    """

    _of: dict[str, float] = field(default_factory=dict)
    _of_all: float | None = None

    def note(self, function: str, run_seconds: float) -> None:
        """Take an attempt into account that has ended, or runs for so long already."""
        seconds = run_seconds + _OVERHEAD_SECONDS
        mean = self._of.get(function, seconds)
        self._of[function] = mean + _WEIGHT * (seconds - mean)
        of_all = seconds if self._of_all is None else self._of_all
        self._of_all = of_all + _WEIGHT * (seconds - of_all)

    def expected_seconds(self, function: str, *, unknown: float = float("inf")) -> float:
        """How long an attempt will probably take; `unknown` if the function has never run."""
        return self._of.get(function, unknown)

    def may_queue(self, function: str, *, load_seconds: float, handed: int) -> bool:
        """Tell whether an executor that is busy may be given one more to do afterwards."""
        return (
            handed < _MOST_QUEUED
            and load_seconds + self.expected_seconds(function) <= _QUEUED_SECONDS
        )

    def room(self, executors: int) -> int:
        """How many messages may wait in the worker: what its executors do in a moment."""
        if self._of_all is None:
            return executors
        return max(executors, min(_MOST_HELD, int(_HELD_SECONDS * executors / self._of_all)))
