"""Invocations that wait and do not work: 2,000 of an `async def` handler that awaits 1 s."""

import json
import time

from loadtests import contract
from loadtests.bench import http, load
from loadtests.bench.eyas import Eyas
from loadtests.bench.load import Plan
from loadtests.bench.outcome import Bench, Outcome
from loadtests.bench.processes import PROJECT, BrokenError
from loadtests.bench.rounds import Side
from loadtests.bench.rows import Finding
from loadtests.bench.spread import Spread

_FUNCTION = "pause"
_FUNCTIONS = PROJECT / "loadtests" / "bench" / "bench_functions"
_COUNT = 2000
_SECONDS = 1
_PATIENCE_SECONDS = 45.0
_POLL_SECONDS = 0.02
_CONNECTIONS = 32


def measure(bench: Bench) -> Outcome:
    """Time from the first request to the last finished, with the worker running; once a round."""
    side = Side(name=f"{_COUNT:,} that await {_SECONDS} s", unit="s")
    outcome = Outcome(sides=[side])
    for _ in range(bench.rounds):
        took, finished = _drain()
        bench.say(f"{finished:,} finished in {took:.2f} s")
        if finished < _COUNT:
            side.broken = f"{finished:,} of {_COUNT:,} were finished after {took:.0f} s"
            outcome.missing("waiting", side.broken)
            return outcome
        side.values.append(took)
    outcome.findings.append(Finding(key="waiting", spread=Spread.of(side.values)))
    return outcome


def _drain() -> tuple[float, int]:
    with Eyas(functions_dir=_FUNCTIONS) as stack:
        _run_one(stack)
        request = stack.post(f"/functions/{_FUNCTION}", {"seconds": _SECONDS})
        start = time.monotonic()
        plan = Plan(
            port=stack.port,
            request=request,
            connections=_CONNECTIONS,
            requests=_COUNT,
            warm_up_seconds=0,
        )
        load.run(plan).rate(contract.ACCEPTED)
        while True:
            succeeded = stack.counts(_FUNCTION)["succeeded"] - 1
            took = time.monotonic() - start
            if succeeded >= _COUNT or took > _PATIENCE_SECONDS:
                return took, succeeded
            time.sleep(_POLL_SECONDS)


def _run_one(stack: Eyas) -> None:
    """Run it once, so that nothing is started for the first time, and check its result."""
    answer = http.ask(
        stack.port,
        f"/functions/{_FUNCTION}",
        body=json.dumps({"seconds": 0}).encode(),
        headers={"Prefer": "wait=30"},
    )
    if answer.status != http.OK or answer.body["result"] != 0:
        raise BrokenError(f"{_FUNCTION}: status {answer.status}, {answer.raw[:200]!r}")
