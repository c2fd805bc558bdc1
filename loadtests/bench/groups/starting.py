"""How long it takes to start: all of it with `make start`, and one worker."""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from loadtests.bench import http
from loadtests.bench.eyas import Eyas
from loadtests.bench.outcome import Bench, Outcome
from loadtests.bench.processes import PROJECT, BrokenError, Processes, free_ports, python
from loadtests.bench.rounds import Side, interleave
from loadtests.bench.rows import Finding
from loadtests.bench.spread import Spread

_MAKE, _WORKER = "second `make start` to ready", "worker to `worker.ready`"
_IMPORTS = "of which Python imports what a worker needs"
_READY = '"worker.ready"'
_IMPORT = "import runtime.worker.__main__"


def measure(bench: Bench) -> Outcome:
    """Start again and again, and stop."""
    with Processes() as processes, Eyas(processes=("broker", "web")) as stack:
        if shutil.which("make"):
            _make(processes.folder)  # the first start of a new data folder
        sides = _sides(stack, processes.folder)
        results = interleave(sides, rounds=bench.rounds, unit="s", say=bench.say)
    outcome = Outcome(sides=[*results.values()])
    for key, name in (("start", _MAKE), ("cold_start", _WORKER)):
        side = results.get(name) or Side(name=name, unit="s", broken="there is no make")
        outcome.findings.append(_finding(key, side, results[_IMPORTS]))
    return outcome


def _sides(stack: Eyas, folder: Path) -> dict[str, Callable[[], float]]:
    sides: dict[str, Callable[[], float]] = {
        _WORKER: lambda: _worker(stack),
        _IMPORTS: _imports,
    }
    if shutil.which("make"):
        sides[_MAKE] = lambda: _make(folder)
    return sides


def _finding(key: str, side: Side, imports: Side) -> Finding:
    if side.broken is not None:
        return Finding(key=key, note=side.broken.splitlines()[0])
    share = f"imports of a worker alone: {Spread.of(imports.values).median:.2f} s"
    return Finding(key=key, spread=Spread.of(side.values), note=share)


def _make(folder: Path) -> float:
    """Start everything with `make start`, return the time until it is ready, and stop it."""
    with Processes() as processes:
        web, broker, flower = free_ports(3)
        settings = {
            "EYAS_BROKER_PORT": str(broker),
            "EYAS_FLOWER_PORT": str(flower),
            "EYAS_DATA_DIR": str(folder / "data"),
            "EYAS_LOG_DIR": str(folder / "logs"),
        }
        start = time.monotonic()
        processes.start("make", ["make", "--silent", "start", f"PORT={web}"], settings)
        processes.wait_for(
            lambda: http.ask(web, "/readyz").status == http.OK, "`make start` to be ready"
        )
        took = time.monotonic() - start
        # As Ctrl-C does; `make` itself passes no signal on.
        processes.interrupt("make")
        return took


def _worker(stack: Eyas) -> float:
    """Start a worker, return the time until its log says that it is ready, and stop it."""
    log = stack.log_dir / "worker.log"
    with contextlib.suppress(FileNotFoundError):
        log.unlink()
    start = time.monotonic()
    stack.start("worker")
    stack.running.wait_for(lambda: _READY in log.read_text(encoding="utf-8"), "a worker")
    took = time.monotonic() - start
    stack.running.stop("worker")
    return took


def _imports() -> float:
    start = time.monotonic()
    ran = subprocess.run([python(), "-c", _IMPORT], cwd=PROJECT, check=False)
    if ran.returncode:
        raise BrokenError("a worker cannot be imported")
    return time.monotonic() - start
