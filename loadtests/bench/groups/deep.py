"""What a deep queue costs: accepting and draining beside an empty one, and the memory."""

from collections.abc import Callable
from functools import partial

from loadtests import contract
from loadtests.bench import broker, drains, load
from loadtests.bench.drains import Sized
from loadtests.bench.eyas import WITHOUT_WORKER, Eyas
from loadtests.bench.load import Plan
from loadtests.bench.outcome import Bench, Outcome
from loadtests.bench.rounds import Side, interleave
from loadtests.bench.rows import Finding
from loadtests.bench.spread import Spread

BY_DEPTH = "accepted/s by queue depth"
_MARKS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)
_FIRST_TOTAL = 4000
_KB = 1000


def measure(bench: Bench) -> Outcome:
    """Fill one stack, and compare it with others that are empty."""
    outcome = Outcome()
    with Eyas(processes=WITHOUT_WORKER) as deep:
        before = _memory(deep)
        outcome.curves[BY_DEPTH] = [_at(bench, deep, int(bench.depth * mark)) for mark in _MARKS]
        queued = deep.counts()["queued"]
        grown = {key: (_memory(deep)[key] - before[key]) / queued / _KB for key in before}
        outcome.sides = [
            Side(name=f"broker memory per queued, {key}", unit="KB", values=[value])
            for key, value in grown.items()
        ]
        outcome.findings.append(
            Finding(
                key="memory",
                spread=Spread.of([max(grown.values())]),
                note=f"the larger of used_memory and RSS, at {queued:,} queued",
            )
        )
        for key, kind, sides in (
            ("depth_accept", "/s", _accepts(bench, deep)),
            ("depth_drain", "finished/s", _drains(deep)),
        ):
            results = interleave(sides, rounds=bench.rounds, unit=kind, say=bench.say)
            outcome.sides += results.values()
            outcome.compare(key, *results.values())
        outcome.notes.append(f"{deep.counts()['queued']:,} were still queued at the end")
    return outcome


def _accepts(bench: Bench, deep: Eyas) -> dict[str, Callable[[], float]]:
    def empty() -> float:
        with deep.running.paused(), Eyas(processes=WITHOUT_WORKER) as stack:
            return _accept(bench, stack)

    return {"accepted, deep queue": partial(_accept, bench, deep), "accepted, empty queue": empty}


def _drains(deep: Eyas) -> dict[str, Callable[[], float]]:
    def few(total: int) -> float:
        with deep.running.paused():
            return drains.stack(total)

    return {
        "finished, deep queue": Sized(drain=partial(drains.more_of, deep), total=_FIRST_TOTAL),
        "finished, few queued": Sized(drain=few, total=_FIRST_TOTAL),
    }


def _at(bench: Bench, stack: Eyas, depth: int) -> list[float]:
    """Fill up to a depth; return it with what is accepted per second there."""
    missing = depth - stack.counts()["queued"]
    if missing > 0:
        stack.fill(missing)
    rate = _accept(bench, stack)
    bench.say(f"{depth:,} queued: {rate:,.0f} accepted/s")
    return [depth, rate]


def _accept(bench: Bench, stack: Eyas) -> float:
    plan = Plan(port=stack.port, request=stack.request(), seconds=bench.seconds)
    return load.run(plan).rate(contract.ACCEPTED)


def _memory(stack: Eyas) -> dict[str, int]:
    """Return the broker's memory in bytes, as the server counts it and as the system does."""
    with broker.client(stack.broker_port) as asking:
        facts = asking.info("memory")
    return {key: int(facts[key]) for key in ("used_memory", "used_memory_rss")}
