"""The pytest plugin: one fixture."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime import json_text
from runtime.testing.stack import Stack


def pytest_configure() -> None:
    """Let integers be as long in tests as they may be on a stack."""
    json_text.limit_integer_digits()


@pytest.fixture(scope="session")
def eyas_stack() -> Iterator[Stack]:
    """A real stack of its own on free ports, with its own data folder.

    It runs the functions of `EYAS_FUNCTIONS_DIR`, by default `functions` below pytest's working
    directory, and lives as long as the test session.
    """
    with Stack(functions_dir=Path(os.environ.get("EYAS_FUNCTIONS_DIR", "functions"))) as stack:
        yield stack
