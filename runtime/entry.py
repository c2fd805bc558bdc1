"""What every process does first: settings, logs, limits.

Only entry modules (`python -m runtime.web` and its like) call this; nothing below them reads the
environment.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import NoReturn

import structlog

from runtime import json_text, logs, tracing
from runtime.errors import SettingsError
from runtime.parent import end_with_parent
from runtime.settings import Settings
from runtime.tracing import Tracing

# Celery prefers these to what it is told, even when they were meant for another program.
_CELERY_VARIABLES = (
    "CELERY_BROKER_URL",
    "CELERY_BROKER_READ_URL",
    "CELERY_BROKER_WRITE_URL",
    "CELERY_RESULT_BACKEND",
)
_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.5


def prepare(process: str, *, quiet: Mapping[str, int] | None = None) -> Settings:
    """Read the settings and set up the logs of this process; exit with status 1 if they are bad."""
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        for problem in error.problems:
            print(f"eyas: {problem}", file=sys.stderr)  # noqa: T201  there are no logs yet
        sys.exit(1)
    logs.configure(process, settings, quiet=quiet or {})
    for variable in _CELERY_VARIABLES:
        os.environ.pop(variable, None)
    json_text.limit_integer_digits(settings.max_integer_digits)
    if "HONCHO_PROCESS_NAME" in os.environ:
        # honcho dies at once when its terminal is closed. It gives each process a session of its
        # own, which hears nothing of that: all would go on, and the next start would be refused.
        # To be killed harms no more than Ctrl-C, after which honcho kills what is left.
        end_with_parent(signal.SIGKILL)
    return settings


def start_tracing() -> Tracing:
    """Start tracing, if the environment wants it; exit with status 1 if it cannot be."""
    try:
        return tracing.start(os.environ)
    except SettingsError as error:
        stop("; ".join(error.problems))


def wait_until(is_true: Callable[[], bool], *, waiting_for: str) -> None:
    """Return when a condition holds; say once that it does not yet."""
    pause = _FIRST_PAUSE_SECONDS
    said = False
    while not is_true():
        if not said and pause >= _LONGEST_PAUSE_SECONDS:
            structlog.get_logger("runtime").warning("process.waiting", waiting_for=waiting_for)
            said = True
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


def stop(reason: str) -> NoReturn:
    """Log why this process cannot run, in one line, and exit with status 1."""
    structlog.get_logger("runtime").error("process.refused", reason=reason)
    sys.exit(1)
