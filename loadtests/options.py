"""The options of a load test, and which of them travel to Locust's processes."""

import argparse
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

MODES = ("closed", "arrival")
LOCAL_URL = "http://127.0.0.1:8000"

_EPILOG = """\
exit status: 0 all thresholds hold, 1 at least one is broken, 2 nothing was measured.
Locust shares this machine's cores with the stack, so throughput is under-reported: expect a
third more from a generator that costs nothing. Compare runs with each other.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What the simulated users do. `seconds` 0 means until somebody stops them.

    Each request is for `batch` invocations, by the batch route; with 0 for one, by its own route.
    `rate` counts requests.
    """

    mode: str
    rate: float
    number: int
    batch: int
    seconds: float
    warm_up_seconds: float
    check_every: int

    @classmethod
    def of(cls, options: argparse.Namespace) -> Self:
        """Read it from parsed options."""
        return cls(
            mode=options.mode,
            rate=float(options.rate),
            number=int(options.number),
            batch=int(options.batch),
            seconds=float(options.seconds),
            warm_up_seconds=float(options.warm_up),
            check_every=int(options.check_every),
        )

    @property
    def ends_after_seconds(self) -> float:
        """When the load ends, counted from its start; infinite without an end."""
        return self.warm_up_seconds + self.seconds if self.seconds else math.inf

    @property
    def invocations_per_request(self) -> int:
        return self.batch or 1

    def arguments(self) -> list[str]:
        """Write it as command-line options."""
        return [
            f"--mode={self.mode}",
            f"--rate={self.rate}",
            f"--number={self.number}",
            f"--batch={self.batch}",
            f"--seconds={self.seconds}",
            f"--warm-up={self.warm_up_seconds}",
            f"--check-every={self.check_every}",
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What a run must hold; `None` is no threshold."""

    min_accepted_per_second: float | None
    max_p99_ms: float | None
    max_failures: int
    drain_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything that `python -m loadtests` can be told."""

    host: str
    users: int
    processes: int
    report: Path
    workload: Workload
    thresholds: Thresholds


def parse(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Options:
    """Read the command line; exits with status 2 when it is wrong."""
    parser = _parser(environment)
    given = parser.parse_args(arguments)
    if not given.host.startswith(("http://", "https://")):
        parser.error(f"--host needs a URL such as {LOCAL_URL}, not {given.host!r}")
    if given.mode == "closed" and given.users < given.processes:
        parser.error(f"{given.processes} processes need at least as many --users")
    if not given.seconds:
        parser.error("--seconds must be more than 0")
    return Options(
        host=given.host.rstrip("/"),
        users=given.users,
        processes=given.processes,
        report=given.report,
        workload=Workload.of(given),
        thresholds=Thresholds(
            min_accepted_per_second=given.min_accepted_per_second,
            max_p99_ms=given.max_p99_ms,
            max_failures=given.max_failures,
            drain_seconds=given.drain_seconds,
        ),
    )


def add_workload(parser: argparse.ArgumentParser, *, seconds: float, warm_up: float) -> None:
    """Add the options of `Workload`, with the given defaults; Locust's own parser will do."""
    add = parser.add_argument
    add(
        "--mode",
        choices=MODES,
        default="closed",
        help="closed: every user sends its next request when the last one is answered; "
        "arrival: requests start on schedule, answered or not (open loop)",
    )
    add("--rate", type=above(0), default=200.0, help="requests per second, in all processes")
    add("--number", type=int, default=10, help="the payload: fib of this number")
    add(
        "--batch",
        type=whole(0),
        default=0,
        metavar="N",
        help="payloads in each request, sent to the batch route; 0: one, to the route for one. "
        "What is accepted, finished or checked counts invocations; --rate, latencies and what is "
        "sent, refused or not answered count requests",
    )
    add("--seconds", type=at_least(0), default=seconds, help="how long to measure")
    add("--warm-up", type=at_least(0), default=warm_up, help="seconds before, not measured")
    add(
        "--check-every",
        type=whole(0),
        default=100,
        help="read the result of every Kth accepted invocation and compare it with the right one; "
        "0: none",
    )


def above(limit: float) -> Callable[[str], float]:
    """Return an option type: a finite number above the limit."""

    def number(text: str) -> float:
        value = float(text)
        if not limit < value < math.inf:
            raise argparse.ArgumentTypeError(f"must be more than {limit:g}, not {text}")
        return value

    return number


def at_least(limit: float) -> Callable[[str], float]:
    """Return an option type: a finite number, the limit or more."""

    def number(text: str) -> float:
        value = float(text)
        if not limit <= value < math.inf:
            raise argparse.ArgumentTypeError(f"must be {limit:g} or more, not {text}")
        return value

    return number


def whole(limit: int) -> Callable[[str], int]:
    """Return an option type: a whole number, the limit or more."""

    def number(text: str) -> int:
        value = int(text)
        if value < limit:
            raise argparse.ArgumentTypeError(f"must be {limit} or more, not {text}")
        return value

    return number


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests",
        description="Load a running stack through HTTP, wait until it has drained, and judge it.",
        epilog=_EPILOG,
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--host", default=environment.get("EYAS_URL") or LOCAL_URL, help="the stack's URL")
    add_workload(parser, seconds=15.0, warm_up=2.0)
    add("--users", type=whole(1), default=16, help="how many users, in closed mode")
    add("--processes", type=whole(1), default=1, help="how many Locust processes send")
    add("--report", type=Path, default=Path("reports"), metavar="DIR", help="where files go")
    limits: Any = parser.add_argument_group("thresholds").add_argument
    limits(
        "--min-accepted-per-second",
        type=above(0),
        metavar="N",
        help="invocations; broken below it",
    )
    limits(
        "--max-p99-ms",
        type=above(0),
        metavar="MS",
        help="the latency of requests; broken above it",
    )
    limits(
        "--max-failures",
        type=whole(0),
        default=0,
        metavar="N",
        help="refused or unanswered requests, wrong results, invocations that did not succeed",
    )
    limits(
        "--drain-seconds",
        type=at_least(0),
        default=300.0,
        metavar="S",
        help="how long finishing what was accepted may take",
    )
    return parser


class _Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows defaults, and the epilog as it is written."""
