"""The outcome of a run as text."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runtime.testing import Stack
from tests.chaos import evidence
from tests.chaos.blame import Blame
from tests.chaos.faults import Fault, Kill
from tests.chaos.ledger import Ledger
from tests.chaos.verdict import Fate, Judged

HEADINGS = (
    "fault",
    "kills",
    "accepted",
    "lost",
    "executed twice",
    "run again",
    "slowest recovery (s)",
    "slowest rerun (s)",
)
_NONE = "(no kill)"
_SHOWN = 5
_FAILURES = (Fate.LOST, Fate.WRONG, Fate.GIVEN_UP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All that is known when a run is over."""

    seed: int
    seconds: float
    kills: Sequence[Kill]
    judged: Sequence[Judged]
    ledger: Ledger
    unknown: Counter[str]
    unexpected: Counter[str]
    exits: Counter[str]

    def of(self, fate: Fate) -> list[Judged]:
        return [judged for judged in self.judged if judged.fate is fate]

    def problems(self) -> list[str]:
        """Return what a run must not have, in words; an empty list is a pass."""
        unrecovered = [kill.fault for kill in self.kills if kill.recovered_at is None]
        return [
            *_unless_none(len(self.of(Fate.LOST)), "accepted invocations were lost"),
            *_unless_none(
                len(self.of(Fate.WRONG)), "invocations ended in another way than they had to"
            ),
            *_unless_none(self.unexpected.total(), f"unexpected answers: {dict(self.unexpected)}"),
            *_unless_none(len(unrecovered), f"kills without recovery: {unrecovered}"),
        ]


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align columns: the first to the left, the others, which are numbers, to the right."""
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]
    lines = [headings, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(
            [
                line[0].ljust(widths[0]),
                *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True)),
            ]
        )
        for line in lines
    )


def text(outcome: Outcome) -> str:
    """Return the table, and below it what does not belong to one kind of fault."""
    fates = Counter(judged.fate for judged in outcome.judged)
    summary = ", ".join(f"{fates[fate]:,} {fate}" for fate in Fate)
    lines = [
        table(HEADINGS, list(_rows(outcome))),
        "",
        f"seed {outcome.seed}, {outcome.seconds:.0f} s",
        f"{len(outcome.judged):,} accepted: {summary}",
        f"{outcome.unknown.total():,} unknown, not counted: {_listed(outcome.unknown)}",
        f"ended by themselves, and started again: {_listed(outcome.exits)}",
        *(f"PROBLEM: {problem}" for problem in outcome.problems()),
    ]
    return "\n".join(lines)


def losses(outcome: Outcome, stack: Stack) -> Iterator[str]:
    """Yield what is known about the first invocations that did not succeed, the lost ones first."""
    failed = [judged for fate in _FAILURES for judged in outcome.of(fate)]
    for judged in failed[:_SHOWN]:
        sent = judged.sent
        yield f"\n{judged.fate}: {sent.function} {sent.id} by {sent.trigger}"
        yield _when(outcome, judged)
        yield f"record: {judged.status} {json.dumps(judged.record)}"
        yield f"places: {', '.join(evidence.places(stack, sent.id)) or 'none'}"
        for entry in outcome.ledger.of(sent.id):
            yield f"ledger: {entry.what} attempt {entry.attempt} pid {entry.pid} at {entry.at:.3f}"
        yield from evidence.log_lines(stack, sent.id)


def _when(outcome: Outcome, judged: Judged) -> str:
    kill = _blame(outcome).loss(judged.sent) if judged.fate is Fate.LOST else None
    blamed = f"; blamed: kill of {kill.fault} at {kill.at:.3f}" if kill else ""
    return f"accepted at {judged.sent.accepted_at:.3f}{blamed}"


def _blame(outcome: Outcome) -> Blame:
    accepted = [judged.sent for judged in outcome.judged]
    return Blame(kills=outcome.kills, accepted=accepted, ledger=outcome.ledger)


def _rows(outcome: Outcome) -> Iterator[list[str]]:
    blame = _blame(outcome)
    reruns = blame.reruns()
    twice = [j.sent for j in outcome.judged if len(outcome.ledger.ends(j.sent.id)) > 1]
    counts = {
        "accepted": _by_fault([blame.acceptance(judged.sent) for judged in outcome.judged]),
        "lost": _by_fault([blame.loss(judged.sent) for judged in outcome.of(Fate.LOST)]),
        "twice": _by_fault([blame.second_execution(sent) for sent in twice]),
        "again": _by_fault([kill for kill, _ in reruns]),
    }
    kills = _by_fault(outcome.kills)
    named = [*(fault.value for fault in Fault if kills[fault]), _NONE]
    for name in named:
        recoveries = [
            kill.recovered_at - kill.at
            for kill in outcome.kills
            if kill.fault == name and kill.alone and kill.recovered_at is not None
        ]
        again = [seconds for kill, seconds in reruns if kill.fault == name]
        numbers = [f"{counter[name]:,}" for counter in [kills, *counts.values()]]
        yield [name, *numbers, _slowest(recoveries), _slowest(again)]
    yield ["total", *(f"{c.total():,}" for c in [kills, *counts.values()]), "", ""]


def _by_fault(kills: Sequence[Kill | None]) -> Counter[str]:
    return Counter(_NONE if kill is None else kill.fault.value for kill in kills)


def _slowest(seconds: Sequence[float]) -> str:
    return f"{max(seconds):.2f}" if seconds else "-"


def _listed(counter: Counter[str]) -> str:
    return ", ".join(f"{count:,} x {what}" for what, count in counter.most_common()) or "none"


def _unless_none(count: int, what: str) -> list[str]:
    return [f"{count:,} {what}"] if count else []
