"""What a group of measurements hands back, and what a whole run keeps in its file."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from loadtests.bench.rounds import Side
from loadtests.bench.rows import Finding
from loadtests.bench.spread import Spread, ratio

# The stack of another checkout.
OTHER = "Eyas, the other checkout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """How to measure: rounds, and how long one load lasts; `say` prints a line of progress.

    `against` is another checkout, whose stack is to be measured too.
    """

    rounds: int
    seconds: float
    is_quick: bool
    soak_seconds: float
    depth: int
    against: Path | None
    say: Callable[[str], None]


@dataclass(slots=True, kw_only=True)
class Outcome:
    """Findings for rows; the figures behind them; curves to plot; and remarks.

    A curve is a list of `[x, y]` pairs, or the values of a histogram. `broken` says why the group
    ended early.
    """

    findings: list[Finding] = field(default_factory=list)
    sides: list[Side] = field(default_factory=list)
    curves: dict[str, list[Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    broken: str | None = None

    def compare(self, key: str, over: Side, under: Side) -> None:
        """Find the ratio of two sides for a row."""
        self.findings.append(compared(key, over, under))

    def missing(self, key: str, reason: str) -> None:
        """Find nothing for a row."""
        self.findings.append(Finding(key=key, note=reason))

    def to_json(self) -> dict[str, Any]:
        return {
            "findings": [finding.to_json() for finding in self.findings],
            "sides": [asdict(side) for side in self.sides],
            "curves": self.curves,
            "notes": self.notes,
            "broken": self.broken,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(
            findings=[Finding.from_json(each) for each in value["findings"]],
            sides=[Side(**each) for each in value["sides"]],
            curves=value["curves"],
            notes=value["notes"],
            broken=value["broken"],
        )


def compared(key: str, over: Side, under: Side) -> Finding:
    """Return the ratio of two sides, or which of them is broken."""
    for side in (over, under):
        if side.broken is not None or not side.values:
            reason = side.broken or "not measured"
            return Finding(key=key, note=f"{side.name} is broken: {reason.splitlines()[0]}")
    return Finding(key=key, spread=ratio(over.values, under.values), note=f"÷ {under.name}")


def best_of(sides: list[Side]) -> Side | None:
    """Return the side with the highest median, of those that are not broken."""
    whole = [side for side in sides if side.broken is None and side.values]
    return max(whole, key=lambda side: Spread.of(side.values).median, default=None)
