"""The machine and the versions of a run, to be printed with its figures."""

import json
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from loadtests.bench import broker
from loadtests.bench.processes import python

_SHOWN = (
    "celery",
    "falcon",
    "granian",
    "kombu",
    "redis",
    "uvloop",
    "arq",
    "dramatiq",
    "fastapi",
    "functions-framework",
    "gunicorn",
    "huey",
    "rq",
    "saq",
    "taskiq",
    "taskiq-redis",
    "uvicorn",
)
_LIST = (
    "import json, importlib.metadata as m; "
    "print(json.dumps({d.name: d.version for d in m.distributions()}))"
)


def describe() -> dict[str, str]:
    """Return facts about this machine."""
    return {
        "processor": f"{os.cpu_count()} cores, {_processor()}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "broker": _first_line([broker.binary(), "--version"]),
    }


def versions(environments: list[str]) -> dict[str, str]:
    """Return the versions of what is compared, by package and environment where they differ."""
    found = {d.name: d.version for d in metadata.distributions()}
    for environment in environments:
        if not python(environment).exists():
            continue
        other: dict[str, str] = json.loads(_first_line([python(environment), "-c", _LIST]))
        for name, version in other.items():
            if found.setdefault(name, version) != version:
                found[f"{name} in {environment}"] = version
    return {
        name: version for name, version in sorted(found.items()) if name.split(" ")[0] in _SHOWN
    }


def _first_line(command: list[str | Path]) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return ran.stdout.splitlines()[0]


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
