"""How fast invocations are accepted: one web process, no worker, 128 connections.

So many that nobody is idle: 32 leave the two cores of the reference machine idle for two fifths of
the time, as all of them wait for the disk, and would measure its latency. `concurrency` shows other
numbers.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from loadtests import contract
from loadtests.bench import http, load, webs
from loadtests.bench.eyas import BATCH, WITHOUT_WORKER, Eyas
from loadtests.bench.outcome import OTHER, Bench, Outcome, best_of
from loadtests.bench.plan import LoadError, Measured, Plan
from loadtests.bench.processes import BrokenError
from loadtests.bench.rounds import Side, interleave

CONNECTIONS = 128
EYAS, _BATCHES, _BARE = "Eyas", "Eyas, batch route", "bare Falcon, GET /ping"
_IN_TURNS = "Eyas, in turns"
_TURN_SECONDS = 0.25


def measure(bench: Bench) -> Outcome:
    """Load the stack, its batch route, the bare application and, unless quick, the peers."""
    sides = _sides(bench)
    outcome = Outcome()
    with Eyas(processes=WITHOUT_WORKER) as eyas:
        has_batches = eyas.has_batch_route()
    if not has_batches:
        del sides[_BATCHES]
    results = interleave(sides, rounds=bench.rounds, unit="/s", say=bench.say)
    outcome.sides = [*results.values()]
    outcome.compare("accept_bare", results[EYAS], results[_BARE])
    if bench.against is not None:
        sides_in_turns = _in_turns(bench, bench.against)
        outcome.sides += sides_in_turns
        outcome.compare("accept_against", *sides_in_turns)
    if not bench.is_quick:
        outcome.compare("accept_blog", results[EYAS], results[webs.BLOG.name])
        best = best_of([results[peer.name] for peer in webs.FASTAPI])
        if best is not None:
            outcome.compare("accept_best", results[EYAS], best)
    if has_batches:
        outcome.compare("batch", results[_BATCHES], results[EYAS])
    else:
        outcome.missing("batch", "not available: there is no batch route")
    return outcome


def _sides(bench: Bench) -> dict[str, Callable[[], float]]:
    sides: dict[str, Callable[[], float]] = {
        EYAS: partial(_single, bench),
        _BATCHES: partial(_batches, bench),
        _BARE: partial(_bare, bench),
    }
    if not bench.is_quick:
        for peer in (webs.BLOG, *webs.FASTAPI):
            sides[peer.name] = partial(peer.measure, bench.seconds, connections=CONNECTIONS)
    return sides


def _in_turns(bench: Bench, other: Path) -> tuple[Side, Side]:
    """Load the stacks of two checkouts in short turns.

    They differ by a few hundredths, and in seconds the machine drifts by more.
    """
    turns = 2 * math.ceil(2 * bench.seconds / _TURN_SECONDS)
    sides = Side(name=_IN_TURNS, unit="/s"), Side(name=OTHER, unit="/s")
    try:
        with (
            Eyas(processes=WITHOUT_WORKER) as mine,
            Eyas(processes=WITHOUT_WORKER, project=other) as theirs,
        ):
            for number in range(bench.rounds):
                sums = Measured(), Measured()
                for turn in range(turns):
                    each = (turn // 2 + turn) % 2  # they take turns in going first, too
                    eyas = (mine, theirs)[each]
                    plan = _plan(bench, eyas.port, eyas.request())
                    short = replace(plan, seconds=_TURN_SECONDS, warm_up_seconds=_TURN_SECONDS / 5)
                    sums[each].add(load.run(short))
                for side, total in zip(sides, sums, strict=True):
                    side.values.append(total.rate(contract.ACCEPTED))
                    bench.say(f"{side.name}: {side.values[-1]:,.4g} /s (round {number + 1})")
    except (BrokenError, LoadError, OSError) as error:
        for side in sides:
            side.broken = str(error)
    return sides


def _single(bench: Bench) -> float:
    with Eyas(processes=WITHOUT_WORKER) as eyas:
        measured = load.run(_plan(bench, eyas.port, eyas.request()))
        rate = measured.rate(contract.ACCEPTED)
        eyas.check_accepted(measured.all_answers[contract.ACCEPTED])
        return rate


def _batches(bench: Bench) -> float:
    with Eyas(processes=WITHOUT_WORKER) as eyas:
        measured = load.run(_plan(bench, eyas.port, eyas.batch_request()))
        rate = measured.rate(contract.ACCEPTED)
        eyas.check_accepted(measured.all_answers[contract.ACCEPTED] * BATCH)
        return rate * BATCH


def _bare(bench: Bench) -> float:
    return webs.load_bare(seconds=bench.seconds, connections=CONNECTIONS).rate(http.OK)


def _plan(bench: Bench, port: int, request: bytes) -> Plan:
    return Plan(port=port, request=request, seconds=bench.seconds, connections=CONNECTIONS)
