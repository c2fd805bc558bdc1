"""What every process does first: settings, logs, limits, and the functions.

Only entry modules (`python -m runtime.web` and its like) call this; nothing below them reads the
environment.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import NoReturn

import structlog

from runtime import json_text, logs
from runtime.errors import (
    BrokerUnavailableError,
    BrokerUnsupportedError,
    DefinitionError,
    SettingsError,
)
from runtime.registry import Registry
from runtime.settings import Settings
from runtime.store import check_server, is_reachable

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
    return settings


def load_functions(settings: Settings) -> Registry:
    """Discover the functions; log each module that failed; exit if there is no such folder."""
    log = structlog.get_logger("runtime")
    try:
        registry = Registry.discover(settings.functions_dir)
    except DefinitionError as error:
        stop(str(error))
    for failed in registry.failed:
        log.error(
            "module.failed",
            module=failed.module,
            path=failed.path,
            error=failed.error,
            exception=failed.traceback,
        )
    log.info("functions.loaded", functions=list(registry), failed=len(registry.failed))
    return registry


def wait_for_broker(url: str) -> None:
    """Return when the broker answers; exit with status 1 if it is of no use to us."""
    wait_until(lambda: is_reachable(url), waiting_for="the broker")
    try:
        check_server(url)
    except BrokerUnsupportedError as error:
        stop(str(error))
    except BrokerUnavailableError:
        wait_for_broker(url)


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
