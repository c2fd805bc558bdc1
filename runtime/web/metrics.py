"""`GET /metrics`: what Prometheus and OpenMetrics collect.

Nearly all of it is counted in the broker, so every web process shows the same, whatever was
restarted. Only refusals, which never reach the broker, are counted by each web process for itself.
"""

import asyncio
import itertools
import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import falcon.asgi
from prometheus_client import CollectorRegistry, Counter, Metric, exposition
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.utils import floatToGoString

from runtime.errors import BrokerUnavailableError
from runtime.invocation import TERMINAL, Status
from runtime.registry import Registry
from runtime.store import AsyncStore, metrics, upkeep
from runtime.store.metrics import Histogram, Measured
from runtime.store.upkeep import Census
from runtime.web.exchange import Request

_OPEN = tuple(status for status in Status if status not in TERMINAL)
_ENDS = tuple(status for status in Status if status in TERMINAL)
_PLACES = ("queue", "landing", "in_flight", "parked", "delayed")
_BUILD = {"version": metadata.version("eyas"), "python_version": platform.python_version()}


class Refusals:
    """Counts the requests that this process has refused, by reason."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._refused = Counter(
            "eyas_requests_refused",
            "Requests that this web process has answered with an error, by reason.",
            ["reason"],
            registry=self._registry,
        )

    def count(self, reason: str) -> None:
        """Count one. Reasons are few: kinds of problems, AWS's error codes, HTTP's phrases."""
        self._refused.labels(reason).inc()

    def collect(self) -> Iterable[Metric]:
        """Return the counter, for an encoder."""
        return self._registry.collect()


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """`GET /metrics`: also while the broker is away; `eyas_broker_up` tells."""

    registry: Registry
    store: AsyncStore
    refusals: Refusals

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        try:
            census = await self.store.run(upkeep.take_census())
            found = Collected(
                registry=self.registry,
                refusals=self.refusals,
                census=census,
                measured=await self.store.run(metrics.read()),
            )
        except BrokerUnavailableError:
            found = Collected(registry=self.registry, refusals=self.refusals)
        encode, resp.content_type = exposition.choose_encoder(req.header(b"accept") or "")
        # With many functions that takes a while.
        resp.data = await asyncio.to_thread(encode, found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What prometheus_client encodes; without census and measures if the broker is away."""

    registry: Registry
    refusals: Refusals
    census: Census | None = None
    measured: Measured | None = None

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        yield InfoMetricFamily("eyas_build", "What runs here.", _BUILD)
        yield _gauge("eyas_broker_up", "Whether the broker answers.", self.census is not None)
        yield _gauge("eyas_functions", "Functions that can be invoked.", len(self.registry))
        yield _gauge(
            "eyas_failed_modules",
            "Modules of the functions folder that cannot be used.",
            len(self.registry.failed),
        )
        yield from self.refusals.collect()
        if self.census is not None and self.measured is not None:
            # Also those of which nothing has happened yet: where a counter begins is no increase.
            functions = sorted({*self.registry, *self.census.functions})
            yield from _of_census(self.census, functions)
            yield from _of_functions(self.measured, functions)
            yield from _of_workers(self.measured)


def _of_census(census: Census, functions: Iterable[str]) -> Iterator[Metric]:
    accepted = CounterMetricFamily(
        "eyas_invocations_accepted", "Invocations that were accepted.", labels=["function"]
    )
    unfinished = GaugeMetricFamily(
        "eyas_invocations_open",
        "Invocations without a terminal status.",
        labels=["function", "status"],
    )
    for function in functions:
        counts = census.functions.get(function, {})
        accepted.add_metric([function], counts.get("accepted", 0))
        for status in _OPEN:
            unfinished.add_metric([function, status], counts.get(status, 0))
    places = GaugeMetricFamily(
        "eyas_messages", "Messages, by where they are in the broker.", labels=["place"]
    )
    for place in _PLACES:
        places.add_metric([place], census.places[place])
    yield from (accepted, unfinished, places)


def _of_functions(measured: Measured, functions: Iterable[str]) -> Iterator[Metric]:
    finished = CounterMetricFamily(
        "eyas_invocations_finished",
        "Ends of invocations, by terminal status; one that was redriven has several.",
        labels=["function", "status"],
    )
    for function in functions:
        for status in _ENDS:
            finished.add_metric([function, status], measured.finished.get((function, status), 0))
    yield finished
    yield _histogram(
        "eyas_queue_wait_seconds",
        "From being accepted to the start of the first attempt; a delay that was asked for counts.",
        measured.wait_seconds,
    )
    yield _histogram(
        "eyas_attempt_duration_seconds", "How long attempts ran.", measured.run_seconds
    )
    yield _by_function(
        CounterMetricFamily,
        "eyas_attempts_retried",
        "Attempts that failed, and after which there will be another one.",
        measured.retried,
        functions,
    )
    yield _by_function(
        CounterMetricFamily,
        "eyas_attempts_crashed",
        "Attempts whose process or worker died, and that are made again.",
        measured.crashed,
        functions,
    )
    yield _by_function(
        CounterMetricFamily,
        "eyas_invocations_recovered",
        "Invocations that were nowhere, and were queued again.",
        measured.recovered,
        functions,
    )
    yield _by_function(
        GaugeMetricFamily,
        "eyas_dead_letters",
        "Invocations that were given up, and are kept.",
        measured.dead_letters,
        functions,
    )


def _of_workers(measured: Measured) -> Iterator[Metric]:
    yield _gauge("eyas_workers", "Workers that take messages.", measured.workers)
    yield _gauge(
        "eyas_oldest_queued_age_seconds",
        "Since when the next invocation in the queue is accepted; 0 if there is none.",
        measured.oldest_queued_seconds,
    )
    yield CounterMetricFamily(
        "eyas_lease_renewals", "Renewals of workers' leases.", measured.lease_renewals
    )
    yield CounterMetricFamily(
        "eyas_leases_lapsed",
        "Leases that lapsed while their workers held messages.",
        measured.leases_lapsed,
    )
    yield CounterMetricFamily(
        "eyas_messages_given_back",
        "Messages that went back into the queue because a lease had lapsed.",
        measured.given_back,
    )


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value)


def _by_function(
    kind: Any, name: str, text: str, values: Mapping[str, int], functions: Iterable[str]
) -> CounterMetricFamily | GaugeMetricFamily:
    family: CounterMetricFamily | GaugeMetricFamily = kind(name, text, labels=["function"])
    for function in functions:
        family.add_metric([function], values.get(function, 0))
    return family


def _histogram(name: str, text: str, histograms: Mapping[str, Histogram]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=["function"])
    for function, one in histograms.items():
        limits = [*map(floatToGoString, one.limits_seconds), "+Inf"]
        buckets = list(zip(limits, itertools.accumulate(one.counts), strict=True))
        family.add_metric([function], buckets, sum_value=one.sum_seconds)
    return family
