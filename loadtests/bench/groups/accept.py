"""How fast invocations are accepted: one web process, no worker, 128 connections.

So many that nobody is idle: 32 leave the two cores of the reference machine idle for two fifths of
the time, as all of them wait for the disk, and would measure its latency. `concurrency` shows other
numbers.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from loadtests import contract
from loadtests.bench import http, load, webs
from loadtests.bench.eyas import BATCH, WITHOUT_WORKER, Eyas
from loadtests.bench.outcome import OTHER, Bench, Outcome, best_of
from loadtests.bench.plan import Plan
from loadtests.bench.processes import PROJECT
from loadtests.bench.rounds import interleave

CONNECTIONS = 128
EYAS, _BATCHES, _BARE = "Eyas", "Eyas, batch route", "bare Falcon, GET /ping"


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
        outcome.compare("accept_against", results[EYAS], results[OTHER])
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
    sides: dict[str, Callable[[], float]] = {EYAS: partial(_single, bench)}
    if bench.against is not None:
        # Next to each other: they differ least, and the machine drifts.
        sides[OTHER] = partial(_single, bench, project=bench.against)
    sides[_BATCHES] = partial(_batches, bench)
    sides[_BARE] = partial(_bare, bench)
    if not bench.is_quick:
        for peer in (webs.BLOG, *webs.FASTAPI):
            sides[peer.name] = partial(peer.measure, bench.seconds, connections=CONNECTIONS)
    return sides


def _single(bench: Bench, *, project: Path = PROJECT) -> float:
    with Eyas(project=project, processes=WITHOUT_WORKER) as eyas:
        measured = load.run(_plan(bench, eyas.port, eyas.request()))
        eyas.check_accepted(measured.all_answers[contract.ACCEPTED])
        return measured.rate(contract.ACCEPTED)


def _batches(bench: Bench) -> float:
    with Eyas(processes=WITHOUT_WORKER) as eyas:
        measured = load.run(_plan(bench, eyas.port, eyas.batch_request()))
        eyas.check_accepted(measured.all_answers[contract.ACCEPTED] * BATCH)
        return measured.rate(contract.ACCEPTED) * BATCH


def _bare(bench: Bench) -> float:
    return webs.load_bare(seconds=bench.seconds, connections=CONNECTIONS).rate(http.OK)


def _plan(bench: Bench, port: int, request: bytes) -> Plan:
    return Plan(port=port, request=request, seconds=bench.seconds, connections=CONNECTIONS)
