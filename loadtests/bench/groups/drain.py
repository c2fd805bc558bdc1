"""How fast what is queued is finished: fib(10), results kept, two processes."""

from collections.abc import Callable
from functools import partial

from loadtests.bench import drains, workers
from loadtests.bench.drains import Sized
from loadtests.bench.outcome import OTHER, Bench, Outcome, best_of
from loadtests.bench.rounds import interleave

_EYAS, _BARE = "Eyas", "bare loop, claims 64"
_FIRST_TOTAL, _FIRST_BARE_TOTAL = 4000, 30_000


def measure(bench: Bench) -> Outcome:
    """Drain the stack, stock Celery and, unless it is to be quick, all others."""
    sides = _sides(bench)
    results = interleave(sides, rounds=bench.rounds, unit="finished/s", say=bench.say)
    outcome = Outcome(sides=[*results.values()])
    if bench.against is not None:
        outcome.compare("drain_against", results[_EYAS], results[OTHER])
    outcome.compare("drain_celery", results[_EYAS], results[workers.CELERY.name])
    if not bench.is_quick:
        outcome.compare("drain_bare", results[_EYAS], results[_BARE])
        best = best_of([results[name] for name in sides if name not in {_EYAS, _BARE, OTHER}])
        if best is not None:
            outcome.compare("drain_best", results[_EYAS], best)
    return outcome


def _sides(bench: Bench) -> dict[str, Callable[[], float]]:
    sides: dict[str, Callable[[], float]] = {_EYAS: Sized(drain=drains.stack, total=_FIRST_TOTAL)}
    if bench.against is not None:
        other = partial(drains.stack, project=bench.against)
        # Next to each other: they differ least, and the machine drifts.
        sides[OTHER] = Sized(drain=other, total=_FIRST_TOTAL)
    sides[workers.CELERY.name] = Sized(
        drain=workers.CELERY.measure, total=workers.CELERY.first_total
    )
    if not bench.is_quick:
        sides[_BARE] = Sized(drain=drains.bare, total=_FIRST_BARE_TOTAL)
        for peer in workers.OTHERS:
            sides[peer.name] = Sized(drain=peer.measure, total=peer.first_total)
    return sides
