"""Accepted per second by how many connections send, and the latency at 32: curves, and no row."""

from loadtests import contract
from loadtests.bench import load
from loadtests.bench.eyas import WITHOUT_WORKER, Eyas
from loadtests.bench.load import Plan
from loadtests.bench.outcome import Bench, Outcome
from loadtests.bench.rounds import Side

BY_CONCURRENCY = "accepted/s by connections"
ACCEPTED = "accepted, 32 connections"
_CONNECTIONS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_SHOWN = 32


def measure(bench: Bench) -> Outcome:
    """Load one stack with more and more connections."""
    outcome = Outcome(curves={BY_CONCURRENCY: []})
    with Eyas(processes=WITHOUT_WORKER) as stack:
        for connections in _CONNECTIONS:
            measured = load.run(
                Plan(
                    port=stack.port,
                    request=stack.request(),
                    connections=connections,
                    seconds=bench.seconds,
                )
            )
            rate = measured.rate(contract.ACCEPTED)
            bench.say(f"{connections} connections: {rate:,.0f} accepted/s")
            outcome.curves[BY_CONCURRENCY].append([connections, rate])
            if connections == _SHOWN:
                outcome.curves[ACCEPTED] = [one * 1000 for one in measured.latencies]
                outcome.sides = [
                    Side(
                        name=f"accepted, 32 connections, p{percent}",
                        unit="ms",
                        values=[measured.percentile_ms(percent)],
                    )
                    for percent in (50, 95, 99)
                ]
    return outcome
