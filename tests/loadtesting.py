"""`python -m loadtests`, as tests run it."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.testing import Stack

PROJECT = Path(__file__).parents[1]
SECONDS = 90  # how long a command may take on a busy machine


@dataclass(frozen=True)
class Finished:
    status: int
    output: str
    errors: str
    folder: Path

    @property
    def summary(self) -> Any:
        return json.loads((self.folder / "summary.json").read_text())

    @property
    def page(self) -> str:
        return (self.folder / "locust.html").read_text()

    @property
    def broken(self) -> list[str]:
        return [line for line in self.output.splitlines() if line.startswith("BROKEN: ")]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "loadtests", *arguments]


def of(stack: Stack) -> dict[str, str]:
    """The environment of a load test against a stack."""
    return stack.process_environment | {"EYAS_URL": stack.url}
