"""The load generators side by side: ours, Locust, and wrk if the machine has it.

No row depends on this: it says how far the generators can be believed.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from typing import Any

from loadtests import contract
from loadtests.bench import load
from loadtests.bench.eyas import BATCH, NUMBER, WITHOUT_WORKER, Eyas
from loadtests.bench.outcome import Bench, Outcome
from loadtests.bench.plan import HOST, Measured, Plan
from loadtests.bench.processes import PROJECT, BrokenError, python
from loadtests.bench.rounds import interleave
from loadtests.bench.spread import ratio

_CONNECTIONS = 16
_BATCH_CONNECTIONS = 4
_RATE = 200
_PATIENCE_SECONDS = 60.0
_WRK_RATE = re.compile(r"Requests/sec: +([\d.]+)")
_WRK_SCRIPT = """\
wrk.method = "POST"
wrk.body = '{payload}'
wrk.headers["Content-Type"] = "application/json"
"""


def measure(bench: Bench) -> Outcome:
    """Let each send as fast as it can, one by one and in batches, and on schedule.

    One by one, a stack that is faster than a Locust process looks as slow as Locust. Batches need
    a hundredth of the requests for as many invocations, so there the stack is what is slow.
    """
    outcome = Outcome()
    with Eyas(processes=WITHOUT_WORKER) as stack:
        closed = interleave(_closed(bench, stack), rounds=bench.rounds, unit="/s", say=bench.say)
        open_ = interleave(_open(bench, stack), rounds=bench.rounds, unit="ms", say=bench.say)
    batches = interleave(_batches(bench), rounds=bench.rounds, unit="/s", say=bench.say)
    outcome.sides = [*closed.values(), *batches.values(), *open_.values()]
    for sides in (closed, batches, open_):
        own, *others = sides.values()
        for other in others:
            if not own.broken and not other.broken:
                spread = ratio(other.values, own.values).text("{:.2f}".format)
                outcome.notes.append(f"{other.name} ÷ {own.name}: {spread}")
    return outcome


def _closed(bench: Bench, stack: Eyas) -> dict[str, Callable[[], float]]:
    def locust() -> float:
        return _locust_rate(bench, stack, f"--users={_CONNECTIONS}")

    sides: dict[str, Callable[[], float]] = {
        "ours, 16 connections": lambda: _ours(bench, stack).rate(contract.ACCEPTED),
        "Locust, 16 users": locust,
    }
    if shutil.which("wrk"):
        sides["wrk, 16 connections"] = partial(_wrk, bench, stack)
    return sides


def _batches(bench: Bench) -> dict[str, Callable[[], float]]:
    """Return the sides that send batches, in invocations per second.

    Each time to a new stack: what they leave queued would slow down the next, and soon be too much.
    """

    def ours() -> float:
        with Eyas(processes=WITHOUT_WORKER) as stack:
            measured = load.run(
                Plan(
                    port=stack.port,
                    request=stack.batch_request(),
                    connections=_BATCH_CONNECTIONS,
                    seconds=bench.seconds,
                )
            )
            rate = measured.rate(contract.ACCEPTED) * BATCH
            stack.check_accepted(measured.all_answers[contract.ACCEPTED] * BATCH)
            return rate

    def locust() -> float:
        with Eyas(processes=WITHOUT_WORKER) as stack:
            return _locust_rate(bench, stack, f"--users={_BATCH_CONNECTIONS}", f"--batch={BATCH}")

    return {
        f"ours, batches of {BATCH}, {_BATCH_CONNECTIONS} connections": ours,
        f"Locust, batches of {BATCH}, {_BATCH_CONNECTIONS} users": locust,
    }


def _open(bench: Bench, stack: Eyas) -> dict[str, Callable[[], float]]:
    def locust() -> float:
        summary = _locust(bench, stack, "--mode=arrival", f"--rate={_RATE}", "--users=1")
        return float(summary["latency_ms"]["p50"])

    return {
        "ours, 200/s, p50": lambda: _ours(bench, stack, rate=_RATE).percentile_ms(50),
        "Locust, 200/s, p50": locust,
    }


def _ours(bench: Bench, stack: Eyas, *, rate: float | None = None) -> Measured:
    return load.run(
        Plan(
            port=stack.port,
            request=stack.request(),
            connections=_CONNECTIONS,
            seconds=bench.seconds,
            rate=rate,
        )
    )


def _locust_rate(bench: Bench, stack: Eyas, *arguments: str) -> float:
    """Return how many invocations were accepted per second."""
    summary = _locust(bench, stack, "--mode=closed", *arguments)
    bench.say(f"Locust used {summary['generator']['cores_each']:.2f} of a core")
    return float(summary["accepted_per_second"])


def _locust(bench: Bench, stack: Eyas, *arguments: str) -> Any:
    """Run `make loadtest` without its drain, and return its summary.

    Raises `BrokenError` if not everything was accepted.
    """
    folder = stack.running.folder / "locust"
    _output(
        [
            str(python()),
            "-m",
            "loadtests",
            f"--host=http://{HOST}:{stack.port}",
            f"--report={folder}",
            f"--seconds={bench.seconds}",
            "--warm-up=0.5",
            "--drain-seconds=0",
            "--check-every=0",
            *arguments,
        ],
        # The drain is not waited for, and so its threshold is broken.
        expected=(0, 1),
    )
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    accepted, counted = summary["accepted"], summary["drain"]["accepted"]
    if summary["failures"] or accepted != counted:
        raise BrokenError(
            f"Locust: {summary['failures']}, accepted {accepted}, counted by the stack {counted}"
        )
    return summary


def _wrk(bench: Bench, stack: Eyas) -> float:
    script = stack.running.folder / "wrk.lua"
    script.write_text(_WRK_SCRIPT.format(payload=contract.payload(NUMBER)), encoding="utf-8")
    url = f"http://{HOST}:{stack.port}{contract.PATH}"
    seconds = max(1, round(bench.seconds))
    output = _output(
        ["wrk", "--threads=1", f"-c{_CONNECTIONS}", f"-d{seconds}s", f"--script={script}", url]
    )
    found = _WRK_RATE.search(output)
    if found is None or "Non-2xx" in output:
        raise BrokenError(f"wrk: {output}")
    return float(found[1])


def _output(command: list[str], *, expected: tuple[int, ...] = (0,)) -> str:
    ran = subprocess.run(
        command,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_SECONDS,
        check=False,
    )
    if ran.returncode not in expected:
        raise BrokenError(f"{command[0]} ended with status {ran.returncode}: {ran.stderr[-500:]}")
    return ran.stdout
