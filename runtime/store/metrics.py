"""What the broker has measured: counted by the steps that do what is counted.

So it is right over any number of processes and restarts, and no kill loses a part of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime.invocation import TERMINAL
from runtime.store.scripts import script
from runtime.store.step import Step, pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How many observations went into each bucket; `limits_seconds` has one less than `counts`."""

    limits_seconds: tuple[float, ...]
    counts: tuple[int, ...]
    sum_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What is measured, as of one instant.

    `wait_seconds` is from being accepted to the first attempt, `run_seconds` is of each attempt
    that ended; both, `retried`, `crashed`, `recovered` and `dead_letters` by function. `finished`
    is by function and status, and counts an invocation again that was redriven.
    """

    wait_seconds: Mapping[str, Histogram]
    run_seconds: Mapping[str, Histogram]
    finished: Mapping[tuple[str, str], int]
    retried: Mapping[str, int]
    crashed: Mapping[str, int]
    recovered: Mapping[str, int]
    dead_letters: Mapping[str, int]
    lease_renewals: int
    leases_lapsed: int
    given_back: int
    workers: int
    oldest_queued_seconds: float


def read() -> Step[Measured]:
    """Read all of it."""
    return Step(script=script("metrics"), parse=_measured)


def _measured(reply: Any) -> Measured:
    fields, limits_us, dead_letters, workers, oldest_us = reply
    values = {name.decode(): int(value) for name, value in pairs(fields).items()}
    return Measured(
        wait_seconds=_histograms("wait", values, limits_us),
        run_seconds=_histograms("run", values, limits_us),
        finished={
            (function, status.value): value
            for status in TERMINAL
            for function, value in _by_function(f"finished:{status}", values).items()
        },
        retried=_by_function("retried", values),
        crashed=_by_function("crashed", values),
        recovered=_by_function("recovered", values),
        dead_letters={name.decode(): int(count) for name, count in pairs(dead_letters).items()},
        lease_renewals=values.get("renewals", 0),
        leases_lapsed=values.get("lapsed", 0),
        given_back=values.get("given_back", 0),
        workers=workers,
        oldest_queued_seconds=oldest_us / 1_000_000,
    )


def _by_function(what: str, values: Mapping[str, int]) -> dict[str, int]:
    start = f"{what}:"
    return {
        name.removeprefix(start): value for name, value in values.items() if name.startswith(start)
    }


def _histograms(what: str, values: Mapping[str, int], limits_us: list[int]) -> dict[str, Histogram]:
    buckets = range(1, len(limits_us) + 2)
    return {
        function: Histogram(
            limits_seconds=tuple(limit / 1_000_000 for limit in limits_us),
            counts=tuple(values.get(f"{what}:{bucket}:{function}", 0) for bucket in buckets),
            sum_seconds=sum_us / 1_000_000,
        )
        for function, sum_us in _by_function(f"{what}:sum", values).items()
    }
