"""What a stack costs that has nothing to do: CPU and memory of each process, Flower included."""

import time

from loadtests.bench import http
from loadtests.bench.eyas import ALL, Eyas
from loadtests.bench.outcome import Bench, Outcome
from loadtests.bench.rounds import Side
from loadtests.bench.rows import Finding
from loadtests.bench.spread import Spread
from loadtests.bench.usage import cpu_seconds, memory_bytes

_SETTLE_SECONDS = 10.0
_SECONDS, _QUICK_SECONDS = 20.0, 5.0
_FLOWER = "flower"
_MB = 1_000_000
_ROUNDS = 3


def measure(bench: Bench) -> Outcome:
    """Start everything, let it settle, and watch it do nothing; a few times."""
    cpu = {name: Side(name=f"{name}, CPU", unit="% of a core") for name in (*ALL, _FLOWER)}
    memory = {name: Side(name=f"{name}, memory (PSS)", unit="MB") for name in cpu}
    with Eyas(processes=(*ALL, _FLOWER)) as stack:
        port = int(stack.environment["EYAS_FLOWER_PORT"])
        stack.running.wait_for(lambda: http.ask(port, "/healthcheck").status == http.OK, "Flower")
        # Nothing to wait for: what starting has left to do is to be over.
        time.sleep(_SETTLE_SECONDS)
        for _ in range(min(bench.rounds, _ROUNDS)):
            _watch(stack, cpu, memory, _QUICK_SECONDS if bench.is_quick else _SECONDS)
            bench.say(", ".join(f"{n} {s.values[-1]:.2f} %" for n, s in cpu.items()))
    outcome = Outcome(sides=[*cpu.values(), *memory.values()])
    for key, sides, unit in (("idle_cpu", cpu, "%"), ("idle_memory", memory, "MB")):
        spread = _sum([*sides.values()])
        without = _sum([side for name, side in sides.items() if name != _FLOWER])
        note = f"without Flower {without.median:,.2f} {unit}"
        outcome.findings.append(Finding(key=key, spread=spread, note=note))
    return outcome


def _watch(stack: Eyas, cpu: dict[str, Side], memory: dict[str, Side], seconds: float) -> None:
    before = {name: cpu_seconds(stack.running.pids(name)) for name in cpu}
    start = time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - start
    for name, side in cpu.items():
        pids = stack.running.pids(name)
        side.values.append((cpu_seconds(pids) - before[name]) / took * 100)
        memory[name].values.append(memory_bytes(pids) / _MB)


def _sum(sides: list[Side]) -> Spread:
    return Spread.of([sum(each) for each in zip(*(side.values for side in sides), strict=True)])
