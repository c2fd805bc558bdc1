"""Accepting and draining at the same time, for minutes: whether rates and memory stay.

The load is open: requests are due at a constant rate, 70 % of what the stack accepts and finishes
at the same time, and latency counts from when they were due. Records are kept for 30 s, and their
ids for as long again: with the defaults (a day, a week) memory would rightly grow all the time.

Two figures tell a fault of the machine from one of the stack: how long the slowest write to disk
took, and what share of the processors' time the host gave to others.
"""

import math
import time

from loadtests import contract
from loadtests.bench import broker, load
from loadtests.bench.curves import OVER_TIME
from loadtests.bench.eyas import Eyas
from loadtests.bench.outcome import Bench, Outcome
from loadtests.bench.plan import Plan
from loadtests.bench.processes import BrokenError
from loadtests.bench.rounds import Side
from loadtests.bench.rows import Finding
from loadtests.bench.spread import Spread
from loadtests.bench.stolen import Times
from loadtests.bench.usage import memory_bytes

_SETTINGS = {"EYAS_RESULT_TTL_SECONDS": "30", "EYAS_EXPIRED_TTL_SECONDS": "30"}
_SHARE = 0.7
_CALIBRATION_SECONDS = 8.0
_WINDOW_SECONDS = 10.0
_FEWEST_WINDOWS = 8
_CONNECTIONS = 64
_DRAIN_SECONDS = 300.0
_MB = 1_000_000
# https://valkey.io/topics/latency-monitor/
_WRITE = "aof-fsync-always"

# What comes and goes.
_QUEUED, _SLOWEST, _STOLEN = _OCCASIONAL = "queued", "slowest write to disk", "stolen"


def measure(bench: Bench) -> Outcome:
    """Find the rate, and then keep it up."""
    units = {
        "accepted": "/s",
        "finished": "/s",
        "p50": "ms",
        "p99": "ms",
        _QUEUED: "",
        _SLOWEST: "ms",
        _STOLEN: "%",
        "broker": "MB",
        "web": "MB",
        "worker": "MB",
        "scheduler": "MB",
    }
    sides = {name: Side(name=f"soak, {name}", unit=unit) for name, unit in units.items()}
    count = max(_FEWEST_WINDOWS, math.ceil(bench.soak_seconds / _WINDOW_SECONDS))
    with Eyas(settings=_SETTINGS) as stack:
        with broker.client(stack.broker_port) as telling:
            telling.config_set("latency-monitor-threshold", 1)
        rate = _sustainable(stack) * _SHARE
        bench.say(f"at {rate:,.0f}/s for {bench.soak_seconds:g} s")
        for _ in range(count):
            values = _window(stack, rate, bench.soak_seconds / count)
            for name, value in values.items():
                sides[name].values.append(value)
            bench.say(", ".join(f"{name} {value:,.1f}" for name, value in values.items()))
        _drained(stack)
        counts = stack.counts()
        if counts["failed"] or counts["cancelled"]:
            raise BrokenError(f"not all succeeded: {counts}")
    outcome = Outcome(sides=[*sides.values()])
    each = bench.soak_seconds / count
    for name, side in sides.items():
        outcome.curves[f"{OVER_TIME}, {name}"] = [
            [(number + 1) * each, value] for number, value in enumerate(side.values)
        ]
    outcome.findings.append(Finding(key="soak", note=_summary(bench, rate, sides)))
    return outcome


def _sustainable(stack: Eyas) -> float:
    """Return how many are accepted and finished per second, if as many are sent as can be."""
    start = time.monotonic()
    load.run(
        Plan(
            port=stack.port,
            request=stack.request(),
            seconds=_CALIBRATION_SECONDS,
            warm_up_seconds=0,
        )
    ).rate(contract.ACCEPTED)
    _drained(stack)
    return stack.finished() / (time.monotonic() - start)


def _window(stack: Eyas, rate: float, seconds: float) -> dict[str, float]:
    with broker.client(stack.broker_port) as telling:
        telling.latency_reset()
    finished, start, before = stack.finished(), time.monotonic(), Times.now()
    measured = load.run(
        Plan(
            port=stack.port,
            request=stack.request(),
            connections=_CONNECTIONS,
            seconds=seconds,
            warm_up_seconds=0,
            rate=rate,
        )
    )
    accepted = measured.rate(contract.ACCEPTED)
    counts = stack.counts()
    took = time.monotonic() - start
    stolen = before.share_until(Times.now())
    with broker.client(stack.broker_port) as asking:
        used = int(asking.info("memory")["used_memory"])
        slow = {event: worst for event, _, _, worst, *_ in asking.latency_latest()}
    own = {
        name: memory_bytes(stack.running.pids(name)) / _MB
        for name in ("web", "worker", "scheduler")
    }
    return {
        "accepted": accepted,
        "finished": (stack.finished() - finished) / took,
        "p50": measured.percentile_ms(50),
        "p99": measured.percentile_ms(99),
        _QUEUED: counts["queued"],
        _SLOWEST: slow.get(_WRITE, 0.0),
        _STOLEN: 100 * stolen,
        "broker": used / _MB,
        **own,
    }


def _drained(stack: Eyas) -> None:
    stack.running.wait_for(
        lambda: not any(stack.counts()[status] for status in ("queued", "running", "retrying")),
        "everything to be finished",
        seconds=_DRAIN_SECONDS,
    )


def _summary(bench: Bench, rate: float, sides: dict[str, Side]) -> str:
    """Say how the last quarter compares with the first."""
    quarters = []
    for name, side in sides.items():
        size = max(1, len(side.values) // 4)
        first, last = (Spread.of(part).median for part in (side.values[:size], side.values[-size:]))
        if name not in _OCCASIONAL:
            quarters.append(f"{name} {last / first:.2f}")
    duration = f"{bench.soak_seconds:g} s at {rate:,.0f}/s"
    return f"{duration}; medians of the last quarter ÷ the first: {', '.join(quarters)}"
