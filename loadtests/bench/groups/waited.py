"""How long one client waits for a result: `Prefer: wait`, beside a synchronous call."""

import json
from collections.abc import Callable

from loadtests.bench import http, load, wire
from loadtests.bench.curves import WAITED
from loadtests.bench.eyas import NUMBER, Eyas
from loadtests.bench.outcome import Bench, Outcome
from loadtests.bench.plan import HOST, Measured, Plan
from loadtests.bench.processes import PEERS, BrokenError, Processes, free_ports, program
from loadtests.bench.rounds import Side, interleave
from loadtests.contract import fibonacci_numbers

_EYAS, _SYNCHRONOUS = "Eyas, Prefer: wait=10, p50", "functions-framework, p50"
_TAIL = "Eyas, Prefer: wait=10, p99"
_SOURCE = "loadtests/bench/peers/synchronous.py"


def measure(bench: Bench) -> Outcome:
    """Call both with one connection."""
    # Of what was measured again, one counts.
    taken: dict[float, Measured] = {}

    def eyas() -> float:
        measured = _eyas(bench)
        p50 = measured.percentile_ms(50)
        taken[p50] = measured
        return p50

    results = interleave(_sides(bench, eyas), rounds=bench.rounds, unit="ms", say=bench.say)
    kept = [taken[p50] for p50 in results[_EYAS].values]
    p99s = [each.percentile_ms(99) for each in kept]
    tail = Side(name=_TAIL, unit="ms", values=p99s, broken=results[_EYAS].broken)
    outcome = Outcome(sides=[*results.values(), tail])
    outcome.compare("wait_p50", results[_EYAS], results[_SYNCHRONOUS])
    outcome.compare("wait_p99", tail, results[_EYAS])
    outcome.curves[WAITED] = [latency * 1000 for each in kept for latency in each.latencies]
    return outcome


def _sides(bench: Bench, eyas: Callable[[], float]) -> dict[str, Callable[[], float]]:
    return {_EYAS: eyas, _SYNCHRONOUS: lambda: _synchronous(bench).percentile_ms(50)}


def _eyas(bench: Bench) -> Measured:
    with Eyas() as stack:
        request = stack.request(headers={"Prefer": "wait=10"})
        measured = _load(bench, stack.port, request)
        for body in measured.bodies:
            if json.loads(body)["result"] != fibonacci_numbers(NUMBER):
                raise BrokenError("a wrong result")
        return measured


def _synchronous(bench: Bench) -> Measured:
    with Processes() as processes:
        (port,) = free_ports(1)
        command = [
            program("functions-framework", PEERS),
            f"--source={_SOURCE}",
            "--target=fib",
            f"--port={port}",
            f"--host={HOST}",
        ]
        processes.start("functions-framework", command)
        body = json.dumps({"number": NUMBER}).encode()
        processes.wait_for(
            lambda: http.ask(port, "/", body=body).status == http.OK, "functions-framework"
        )
        request = wire.request("POST", "/", host=f"{HOST}:{port}", body=body)
        measured = _load(bench, port, request)
        for answer in measured.bodies:
            if json.loads(answer) != fibonacci_numbers(NUMBER):
                raise BrokenError("a wrong result")
        return measured


def _load(bench: Bench, port: int, request: bytes) -> Measured:
    measured = load.run(
        Plan(
            port=port,
            request=request,
            connections=1,
            seconds=bench.seconds,
            warm_up_seconds=1.0,
            keep_bodies=20,
        )
    )
    measured.rate(http.OK)
    return measured
