"""What is drained beside the stack: how each worker is started, and how to see what it finished.

All have two processes that run tasks, keep results, and use a broker like the stack's own. What was
finished is read from the broker's keys, so that no worker does more than it would.
"""

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests import contract
from loadtests.bench import bare_loop, broker
from loadtests.bench.eyas import NUMBER, WITHOUT_WORKER, Eyas
from loadtests.bench.plan import HOST
from loadtests.bench.processes import (
    PEERS,
    PROJECT,
    BrokenError,
    Processes,
    program,
    python,
)
from loadtests.bench.spread import marked_rate

_PEERS = "loadtests.bench.peers"
# The default is one a core.
TWO_PROCESSES = {"EYAS_WORKERS": "2"}
_POLL_SECONDS = 0.02
_DRAIN_SECONDS = 180.0
_FEWEST, _MOST = 300, 100_000
_ENQUEUE_SECONDS = 120.0


@dataclass(slots=True, kw_only=True)
class Sized:
    """A drain whose size follows from how fast the last one was, so that each takes seconds."""

    drain: Callable[[int], float]
    total: int
    seconds: float = 4.0

    def __call__(self) -> float:
        """Drain once and return finished per second."""
        rate = self.drain(self.total)
        self.total = min(_MOST, max(_FEWEST, int(rate * self.seconds)))
        return rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """A peer's worker. `command` runs `times` times; `finished` is of the broker and the total.

    `first_total` is how many to drain before it is known how fast that goes.
    """

    name: str
    module: str
    command: tuple[str, ...]
    finished: Callable[[Any, int], int]
    first_total: int
    times: int = 1
    environment: str | None = PEERS

    def measure(self, total: int) -> float:
        """Return fib(10) finished per second. Raises `BrokenError`."""
        with Processes() as processes:
            port = broker.start(processes)
            variables = {"BENCH_BROKER_PORT": str(port)}
            ids = self._ask(variables, "enqueue", str(total), str(NUMBER))
            for number in range(self.times):
                processes.start(f"worker{number}", self._command(port), variables)
            with broker.client(port) as asking:
                rate = watch(processes, lambda: self.finished(asking, total), total)
            if self._ask(variables, "results", given=ids) != [_right()] * len(ids):
                raise BrokenError("wrong results")
            return rate

    def _command(self, port: int) -> list[str]:
        names = {"module": f"{_PEERS}.with_{self.module}", "url": f"redis://{HOST}:{port}/0"}
        name, *arguments = (part.format(**names) for part in self.command)
        return [str(program(name, self.environment)), *arguments]

    def _ask(
        self, variables: dict[str, str], *arguments: str, given: list[str] | None = None
    ) -> Any:
        ran = subprocess.run(
            [python(self.environment), "-m", _PEERS, self.module, *arguments],
            cwd=PROJECT,
            env=variables | {"PYTHONPATH": str(PROJECT)},
            input=json.dumps(given),
            capture_output=True,
            text=True,
            timeout=_ENQUEUE_SECONDS,
            check=False,
        )
        if ran.returncode:
            raise BrokenError(f"{arguments[0]} failed: {ran.stderr[-500:]}")
        return json.loads(ran.stdout)


def stack(total: int, *, project: Path = PROJECT) -> float:
    """Return what the stack of a checkout finishes per second."""
    with Eyas(project=project, processes=WITHOUT_WORKER, settings=TWO_PROCESSES) as eyas:
        ids = eyas.fill(total)
        eyas.check_accepted(total)
        eyas.start("worker")
        rate = watch(eyas.running, eyas.finished, total)
        eyas.check_results(ids)
        counts = eyas.counts()
        if counts["succeeded"] != total:
            raise BrokenError(f"{total} were accepted, the stack counts {counts}")
        return rate


def more_of(eyas: Eyas, total: int) -> float:
    """Return what a worker of a running stack finishes per second, of a queue that holds more."""
    before = eyas.finished()
    eyas.start("worker")
    rate = watch(eyas.running, lambda: eyas.finished() - before, total)
    eyas.running.stop("worker")
    return rate


def bare(total: int) -> float:
    """Return what the bare loop finishes per second."""
    with Processes() as processes:
        port = broker.start(processes)
        ids = bare_loop.fill(port, total, number=NUMBER)
        for number in range(2):
            command = [python(), "-m", "loadtests.bench.bare_loop", str(port)]
            processes.start(f"worker{number}", command)
        with broker.client(port) as asking:
            rate = watch(processes, lambda: int(asking.get(bare_loop.FINISHED) or 0), total)
            results = asking.mget([f"{bare_loop.RESULT}{one}" for one in ids])
        if [json.loads(result or "null") for result in results] != [_right()] * len(ids):
            raise BrokenError("wrong results")
        return rate


def watch(processes: Processes, finished: Callable[[], int], total: int) -> float:
    """Watch until all is finished; return the rate between the marks of 10 % and 90 %.

    Starting up and running empty are thereby left out.
    """
    samples: list[tuple[float, int]] = []

    def is_drained() -> bool:
        time.sleep(_POLL_SECONDS)  # the condition of `wait_for` costs the broker something
        samples.append((time.monotonic(), finished()))
        return samples[-1][1] >= total

    processes.wait_for(is_drained, f"{total} to be finished", seconds=_DRAIN_SECONDS)
    return marked_rate(samples, total)


def _right() -> list[int]:
    return contract.fibonacci_numbers(NUMBER)
