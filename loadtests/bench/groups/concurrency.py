"""Accepted per second by how many connections send, beside the bare application; the latency at 32.

Curves, and no row.
"""

from loadtests import contract
from loadtests.bench import http, load, webs
from loadtests.bench.curves import ACCEPTED, BARE_BY_CONCURRENCY, BY_CONCURRENCY
from loadtests.bench.eyas import WITHOUT_WORKER, Eyas
from loadtests.bench.outcome import Bench, Outcome
from loadtests.bench.plan import Plan
from loadtests.bench.rounds import Side

_CONNECTIONS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_SHOWN = 32


def measure(bench: Bench) -> Outcome:
    """Load one stack, and bare applications, with more and more connections."""
    outcome = Outcome(curves={BY_CONCURRENCY: [], BARE_BY_CONCURRENCY: []})
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
            rate = measured.answers[contract.ACCEPTED] / measured.seconds
            bare = webs.load_bare(seconds=bench.seconds, connections=connections).rate(http.OK)
            bench.say(f"{connections} connections: {rate:,.0f} accepted/s, bare {bare:,.0f}/s")
            refused = {s: n for s, n in measured.all_answers.items() if s != contract.ACCEPTED}
            if refused or measured.unanswered:
                # Worth knowing, and no reason to stop: no row depends on it.
                outcome.notes.append(
                    f"{connections} connections: {measured.unanswered} without an answer, "
                    f"and answers other than 202, by status: {refused}"
                )
            outcome.curves[BY_CONCURRENCY].append([connections, rate])
            outcome.curves[BARE_BY_CONCURRENCY].append([connections, bare])
            if connections == _SHOWN:
                outcome.curves[ACCEPTED] = [one * 1000 for one in measured.latencies]
                outcome.sides = [
                    Side(name="Eyas, 32 connections", unit="/s", values=[rate]),
                    Side(name="bare Falcon, 32 connections", unit="/s", values=[bare]),
                ]
                outcome.sides += [
                    Side(
                        name=f"accepted, 32 connections, p{percent}",
                        unit="ms",
                        values=[measured.percentile_ms(percent)],
                    )
                    for percent in (50, 95, 99)
                ]
    return outcome
