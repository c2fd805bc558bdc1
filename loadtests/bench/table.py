"""The table of a run as Markdown: every row with what was measured, the limit, and the verdict."""

from collections.abc import Iterable, Mapping

from loadtests.bench.outcome import Outcome
from loadtests.bench.rounds import Side
from loadtests.bench.rows import ROWS, Finding, Row
from loadtests.bench.spread import Spread

_VERDICTS = {True: "yes", False: "**no**", None: ""}


def rows(findings: Iterable[Finding], *, only_found: bool = False) -> str:
    """Return the table; a row without a finding says that it was not measured."""
    by_key = {finding.key: finding for finding in findings}
    shown = [row for row in ROWS if row.key in by_key or not (only_found or row.is_extra)]
    lines = ["| what | measured | wanted | met |", "|---|---|---|---|"]
    lines += [_row(row, by_key.get(row.key)) for row in shown]
    return "\n".join(lines)


def figures(outcomes: Mapping[str, Outcome]) -> str:
    """Return what the ratios were made from: one table a group, medians with their range."""
    parts = []
    for name, outcome in outcomes.items():
        lines = [f"**{name}**", ""]
        if outcome.sides:
            lines += ["| | median | lowest to highest |", "|---|---|---|"]
            lines += [_side(side) for side in outcome.sides]
            lines += _stolen(outcome.sides)
        if outcome.broken:
            lines += ["", f"Broken: {outcome.broken}"]
        if outcome.notes:
            lines += ["", *(f"* {note}" for note in outcome.notes)]
        parts.append("\n".join(lines).replace("\n\n\n", "\n\n"))
    return "\n\n".join(parts)


def facts(*groups: Mapping[str, str]) -> str:
    """Return facts as a list."""
    return "\n".join(f"* {name}: {fact}" for group in groups for name, fact in group.items())


def _row(row: Row, finding: Finding | None) -> str:
    if finding is None:
        return f"| {row.what} | not measured | {row.wanted()} | |"
    measured = finding.spread.text(row.form) if finding.spread else ""
    said = ", ".join(part for part in (measured, finding.note) if part)
    return f"| {row.what} | {said} | {row.wanted()} | {_VERDICTS[finding.is_met]} |"


def _side(side: Side) -> str:
    if side.broken is not None:
        return f"| {side.name} | broken: {side.broken.splitlines()[0]} | |"
    spread = Spread.of(side.values)
    low, high = (_figure(value, side.unit) for value in (spread.low, spread.high))
    return f"| {side.name} | {_figure(spread.median, side.unit)} | {low} to {high} |"


def _stolen(sides: Iterable[Side]) -> list[str]:
    """Say how much of the time the machine did not have."""
    shares = [share for side in sides for share in side.stolen]
    if not shares:
        return []
    found = Spread.of(shares)
    said = (
        f"Meanwhile the host of this machine gave {found.median:.0%} of the processors' time to "
        f"others ({found.low:.0%} to {found.high:.0%})."
    )
    return ["", said]


def _figure(value: float, unit: str) -> str:
    digits = 0 if abs(value) >= 100 else 2  # noqa: PLR2004
    gap = "" if unit.startswith("/") else " "
    return f"{value:,.{digits}f}{gap}{unit}".rstrip()
