"""What was measured, judged and written down. Pure: nothing here asks anybody anything."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from loadtests.options import Options, Thresholds
from loadtests.stack import Counts
from loadtests.tally import Histogram, Tally

# Beyond this the generator, not the stack, is what was measured.
_LATE_MS = 50.0
_BUSY_CORES = 0.9

FOOTER = (
    "Locust shares this machine's cores with the stack unless they run on different machines, so\n"
    "throughput is under-reported: compare runs with each other, not with other tools."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A whole run. `after` is `None` when the stack no longer gave its counts.

    `loaded` is the moment at which the last request was answered, `after` the end of the drain.
    """

    options: Options
    tally: Tally
    measured_seconds: float
    loading_seconds: float
    drain_seconds: float
    scheduled: int | None  # arrivals; in closed mode there are none
    before: Counts
    loaded: Counts | None
    after: Counts | None
    checked: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    exceptions: Mapping[str, int] = field(default_factory=dict)
    is_interrupted: bool = False

    @property
    def accepted_per_second(self) -> float:
        """Accepted invocations whose request started while measuring, over that time."""
        return self.tally.measured / self.measured_seconds if self.measured_seconds else 0.0

    @property
    def counted(self) -> int:
        """How many the stack says that it accepted, from anybody."""
        return (self.after or self.loaded or self.before).accepted - self.before.accepted

    @property
    def finished(self) -> int:
        """How many the stack says that it finished."""
        return (self.after or self.loaded or self.before).finished - self.before.finished

    @property
    def finished_while_loading(self) -> int:
        return (self.loaded or self.before).finished - self.before.finished

    @property
    def finished_after_loading(self) -> int:
        return self.finished - self.finished_while_loading

    @property
    def outstanding(self) -> int | None:
        """What was accepted and not finished at the end; `None`: the stack does not say."""
        return self.after.outstanding if self.after else None

    @property
    def foreign(self) -> int:
        """How many accepted invocations cannot be ours."""
        return max(0, self.counted - self.tally.accepted - self.tally.unknown)

    @property
    def unanswered(self) -> int:
        """How many requests had no answer."""
        return self.tally.unknown // self.options.workload.invocations_per_request

    @property
    def failures(self) -> Counter[str]:
        """Everything that went wrong, by kind."""
        failures = self.tally.failures + self.wrong
        if self.after:
            for status in ("failed", "cancelled", "expired"):
                count = getattr(self.after, status) - getattr(self.before, status)
                failures[f"invocation {status}"] += count
        failures.update({f"in the generator: {what}": n for what, n in self.exceptions.items()})
        return +failures

    @property
    def cores(self) -> float:
        """How many cores each process of the generator kept busy."""
        seconds = self.loading_seconds * self.options.processes
        return self.tally.cpu_seconds / seconds if seconds else 0.0


def broken(run: Measured) -> list[str]:
    """Return each threshold that a run does not hold, as a sentence."""
    return list(_broken(run, run.options.thresholds))


def notes(run: Measured) -> list[str]:
    """Return what a reader of the numbers has to know."""
    return list(_notes(run))


def summary(run: Measured) -> dict[str, Any]:
    """Return all numbers as a JSON object; durations in the unit of their name.

    Latencies, `generator`, and failures to be accepted are of requests; the others are of
    invocations.
    """
    tally, workload = run.tally, run.options.workload
    problems = broken(run)
    return {
        "passed": not problems,
        "broken_thresholds": problems,
        "notes": notes(run),
        "host": run.options.host,
        "workload": asdict(workload) | {"users": run.options.users},
        "thresholds": asdict(run.options.thresholds),
        "accepted": tally.accepted,
        "accepted_measured": tally.measured,
        "accepted_unknown": tally.unknown,
        "accepted_per_second": run.accepted_per_second,
        "measured_seconds": run.measured_seconds,
        "latency_ms": tally.latency.percentiles(),
        "failures": dict(run.failures),
        "generator": {
            "processes": run.options.processes,
            "cores_each": run.cores,
            "scheduled": run.scheduled,
            "sent": tally.sent,
            "unanswered": run.unanswered,
            "late_ms": tally.lateness.percentiles() if run.scheduled is not None else None,
        },
        "drain": {
            "seconds": run.drain_seconds,
            "accepted": run.counted,
            "finished": run.finished,
            "outstanding": run.outstanding,
            "finished_while_loading": run.finished_while_loading,
            "finished_per_second_while_loading": _rate(
                run.finished_while_loading, run.loading_seconds
            ),
            "finished_after_loading": run.finished_after_loading,
            "finished_per_second_after_loading": _rate(
                run.finished_after_loading, run.drain_seconds
            ),
        },
        "checked": run.checked,
        "counts": {
            "before": asdict(run.before),
            "loaded": asdict(run.loaded) if run.loaded else None,
            "after": asdict(run.after) if run.after else None,
        },
    }


def text(run: Measured) -> str:
    """Return the report for people."""
    rows = "\n".join(f"  {name:<12}{value}" for name, value in _rows(run))
    parts = [_title(run), rows, *(f"note: {note}" for note in notes(run)), FOOTER]
    verdict = [f"BROKEN: {problem}" for problem in broken(run)] or ["all thresholds hold"]
    return "\n\n".join([*parts, "\n".join(verdict)])


def progress(
    *, seconds: float, run_seconds: float, latest: Tally, since: Tally, took: float
) -> str:
    """Return one line about the time since an earlier tally; `took` is how long that was."""
    latency = latest.latency.since(since.latency)
    phase = "warm-up" if not latest.measured else "measured"
    return (
        f"{seconds:5.0f} of {run_seconds:.0f} s  {phase:<8}"
        f"  accepted {_rate(latest.accepted - since.accepted, took):>7,.0f} /s"
        f"  p50 {_ms(latency.percentile(50)):>8}  p99 {_ms(latency.percentile(99)):>8}"
        f"  failures {latest.failures.total():,}"
    )


def draining(*, seconds: float, outstanding: int | None) -> str:
    """Return one line about the drain."""
    left = "the stack does not answer" if outstanding is None else f"{outstanding:,} to finish"
    return f"draining {seconds:5.0f} s  {left}"


def _broken(run: Measured, thresholds: Thresholds) -> Iterator[str]:
    if run.is_interrupted:
        wanted = run.options.workload.seconds
        yield f"interrupted: measured {run.measured_seconds:.1f} s of {wanted:g} s"
    if not run.tally.accepted:
        yield "nothing was accepted"
    least = thresholds.min_accepted_per_second
    if least is not None and run.accepted_per_second < least:
        yield (
            f"min-accepted-per-second: wanted {least:,g} or more, "
            f"found {run.accepted_per_second:,.1f}"
        )
    p99, most = run.tally.latency.percentile(99), thresholds.max_p99_ms
    if most is not None and (p99 is None or p99 > most):
        yield f"max-p99-ms: wanted {most:,g} or less, found {_ms(p99)}"
    failures = run.failures
    if failures.total() > thresholds.max_failures:
        yield (
            f"max-failures: wanted {thresholds.max_failures:,} or less, "
            f"found {failures.total():,} ({_listed(failures)})"
        )
    yield from _broken_drain(run, thresholds)


def _broken_drain(run: Measured, thresholds: Thresholds) -> Iterator[str]:
    if run.after is None:
        yield "accepted == finished: not known, the stack stopped giving its counts"
        return
    if run.after.outstanding:
        yield (
            f"drain-seconds: wanted everything finished in {thresholds.drain_seconds:g} s, "
            f"found {run.after.outstanding:,} still to finish"
        )
    if run.counted < run.tally.accepted:
        yield (
            f"accepted == finished: {run.tally.accepted:,} were answered with 202, "
            f"and the stack counts {run.counted:,}"
        )
    # What was outstanding before is finished along with ours.
    owed = run.before.outstanding + run.counted
    done = run.finished + run.after.outstanding
    if owed != done:
        yield f"accepted == finished: {owed:,} were to be finished, {done:,} are accounted for"


def _notes(run: Measured) -> Iterator[str]:
    if run.foreign:
        yield (
            f"the stack accepted {run.foreign:,} more than this run sent: somebody else used the "
            "function at the same time, and the figures of finishing and draining include theirs."
        )
    if run.before.outstanding:
        yield (
            f"{run.before.outstanding:,} were waiting before the run; they are among the finished."
        )
    late = run.tally.lateness.percentile(99)
    if run.scheduled is not None and late is not None and late > _LATE_MS:
        yield (
            f"1 in 100 requests started {_ms(late)} or more behind schedule because the generator "
            "was busy; the latency includes that. Lower --rate, or use more --processes or another "
            "machine."
        )
    if run.scheduled is not None and run.tally.sent < run.scheduled and not run.is_interrupted:
        yield f"{run.scheduled - run.tally.sent:,} scheduled requests were never sent."
    if run.cores > _BUSY_CORES:
        yield (
            "the generator used all of its core, so it may be what limits the throughput. "
            "With cores to spare, use more --processes."
        )


def _title(run: Measured) -> str:
    workload = run.options.workload
    shape = (
        f"closed loop, {run.options.users} users"
        if workload.mode == "closed"
        else f"constant arrival rate, {workload.rate:,g} requests/s"
    )
    if workload.batch:
        shape += f", batches of {workload.batch:,}"
    return (
        f"{shape}: fib({workload.number}) at {run.options.host}, measured for "
        f"{run.measured_seconds:.1f} s after {workload.warm_up_seconds:g} s of warm-up"
    )


def _rows(run: Measured) -> Iterator[tuple[str, str]]:
    tally, failures = run.tally, run.failures
    yield "accepted", f"{run.accepted_per_second:,.1f} invocations/s   {tally.measured:,} measured"
    counted_from = "scheduled" if run.scheduled is not None else "sent"
    yield (
        "latency",
        f"{_percentiles(tally.latency)}   of a request, from when it was {counted_from}",
    )
    yield "failures", f"{failures.total():,}"
    for kind, count in failures.most_common():
        yield "", f"{count:,}  {kind}"
    if run.scheduled is not None:
        yield "schedule", f"{tally.sent:,} sent of {run.scheduled:,} requests"
        yield "  lateness", _percentiles(tally.lateness)
    processes = "1 process" if run.options.processes == 1 else f"{run.options.processes} processes"
    each = "" if run.options.processes == 1 else " each"
    yield "generator", f"{processes}, {run.cores:.0%} of a core{each}"
    if run.after is None:
        yield "finished", "not known, the stack stopped giving its counts"
    else:
        yield from _drain_rows(run)
    yield "checked", f"{run.checked:,} results, {run.wrong.total():,} wrong"


def _drain_rows(run: Measured) -> Iterator[tuple[str, str]]:
    while_loading = _rate(run.finished_while_loading, run.loading_seconds)
    after = _rate(run.finished_after_loading, run.drain_seconds)
    yield "finished", f"{while_loading:,.1f} /s while loading   {after:,.1f} /s after"
    yield "drain", f"{run.drain_seconds:.1f} s for {run.finished_after_loading:,}"
    sign = "==" if run.counted == run.finished else "!="
    yield "conserved", f"accepted {run.counted:,} {sign} finished {run.finished:,}"


def _percentiles(histogram: Histogram) -> str:
    return "  ".join(f"{name} {_ms(value)}" for name, value in histogram.percentiles().items())


def _listed(failures: Counter[str]) -> str:
    return ", ".join(f"{count:,} x {kind}" for kind, count in failures.most_common())


def _rate(count: int, seconds: float) -> float:
    return count / seconds if seconds else 0.0


def _ms(value: float | None) -> str:
    return "none" if value is None else f"{value:,.3g} ms" if value < 1000 else f"{value:,.0f} ms"  # noqa: PLR2004
