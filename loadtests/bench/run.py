"""A run: one group after the other, the table, and files that say the same."""

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from loadtests.bench import machine, report, table
from loadtests.bench.options import Options
from loadtests.bench.outcome import Bench, Outcome
from loadtests.bench.plan import LoadError
from loadtests.bench.processes import PEERS, PEERS_REDIS5, BrokenError
from loadtests.bench.rows import BY_KEY

Measure = Callable[[Bench], Outcome]
_PASSED, _FAILED, _NOTHING = 0, 1, 2
_say = partial(print, flush=True)


def run(options: Options, groups: Mapping[str, Measure]) -> int:
    """Measure what was asked for; return the exit status. Ctrl-C ends it early, with a table."""
    file = options.report / "results.json"
    kept: dict[str, Any] = {}
    if options.keeps and file.exists():
        kept = json.loads(file.read_text(encoding="utf-8"))["groups"]
    outcomes = {name: Outcome.from_json(value) for name, value in kept.items()}
    facts = machine.describe()
    versions = machine.versions([PEERS, PEERS_REDIS5])
    _say(f"{table.facts(facts, versions)}\n")
    is_interrupted = False
    for name in options.only:
        try:
            outcomes[name] = _measure(name, groups[name], options)
        except KeyboardInterrupt:
            is_interrupted = True
            _say("interrupted")
            break
        results = {
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "options": {"rounds": options.rounds, "seconds": options.seconds},
            "machine": facts,
            "versions": versions,
            "groups": {each: outcome.to_json() for each, outcome in outcomes.items()},
        }
        options.report.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{json.dumps(results, indent=1)}\n", encoding="utf-8")
    ordered = {name: outcomes[name] for name in groups if name in outcomes}
    if not ordered:
        return _NOTHING
    findings = [finding for outcome in ordered.values() for finding in outcome.findings]
    rows = table.rows(findings, only_found=options.is_quick)
    _say(f"\n{table.figures(ordered)}\n\n{rows}\n\n{file}")
    if not options.is_quick and not is_interrupted:
        report.write(options.report, publishes=options.publishes, say=_say)
    is_broken = is_interrupted or any(outcome.broken for outcome in ordered.values())
    unmet = [finding for finding in findings if finding.is_met is False]
    failed = unmet
    if options.is_quick:
        failed = [finding for finding in findings if not finding.is_kept]
        for finding in failed:
            _say(f"below its floor: {BY_KEY[finding.key].what}")
    is_failed = is_broken or bool(failed)
    if unmet:
        _say("docs/benchmarks.md says which rows are not met, why, and where the time goes")
    return _FAILED if is_failed else _PASSED


def _measure(name: str, measure: Measure, options: Options) -> Outcome:
    start = time.monotonic()
    _say(f"{name} ...")
    bench = Bench(
        rounds=options.rounds,
        seconds=options.seconds,
        is_quick=options.is_quick,
        soak_seconds=options.soak_seconds,
        depth=options.depth,
        against=options.against,
        say=lambda line: _say(f"  {line}"),
    )
    try:
        outcome = measure(bench)
    except (BrokenError, LoadError, OSError, ValueError) as error:
        _say(f"  BROKEN: {error}")
        outcome = Outcome(broken=str(error).splitlines()[0])
    _say(f"  {time.monotonic() - start:.0f} s")
    return outcome
