"""The ways to write one `request.finished` line as JSON that are compared."""

import json
import logging
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import structlog

from runtime import logs
from runtime.settings import Settings

FIELDS: dict[str, Any] = {
    "method": "POST",
    "path": "/functions/fib",
    "route": "/functions/fib",
    "status": 202,
    "duration_ms": 1.503,
    "request_bytes": 12,
    "response_bytes": 101,
    "client": "127.0.0.1",
    "request_id": "a5c8c07ece194c1c937d43ce8d725a07",
    "function": "fib",
    "invocation_id": "556165b1-d70f-4421-8ce7-2e42949f871c",
}

Write = Callable[[int], None]
"""Writes so many lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A way to log: `use` sets it up, gives the function that writes, and cleans up."""

    name: str
    use: Callable[[Path], Any]  # a context manager with a `Write`


def sides() -> list[Side]:
    """Return all ways, those of other people first."""
    return [
        Side(name="the call alone, which does nothing", use=_nothing),
        Side(name="logging, FileHandler, json.dumps", use=_standard_library),
        Side(name="structlog, JSONRenderer, file", use=_structlog),
        Side(name="ours, at once", use=lambda folder: _ours(folder, turn=0)),
        *(
            Side(name=f"ours, by turns of {turn}", use=lambda folder, n=turn: _ours(folder, turn=n))
            for turn in (1, 8, 32)
        ),
        Side(
            name="ours, by turns of 8, bound",
            use=lambda folder: _ours(folder, turn=8, is_bound=True),
        ),
        Side(name="ours, at once, console", use=lambda folder: _with_console(folder, turn=0)),
        Side(name="ours, by turns of 8, console", use=lambda folder: _with_console(folder, turn=8)),
    ]


@contextmanager
def _nothing(_folder: Path) -> Iterator[Write]:
    def info(_event: str, /, *_args: object, **_fields: object) -> None:
        pass

    yield _repeated(info)


@contextmanager
def _standard_library(folder: Path) -> Iterator[Write]:
    class JsonFormatter(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            own = {
                "timestamp": self.formatTime(record),
                "level": record.levelname.lower(),
                "event": record.getMessage(),
                "logger": record.name,
                "pid": record.process,
            }
            return json.dumps(own | vars(record)["fields"])

    logger = logging.getLogger("benchmarks.logging")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = logging.FileHandler(folder / "standard_library.log")
    handler.setFormatter(JsonFormatter())
    logger.addHandler(handler)

    def write(count: int) -> None:
        for _ in range(count):
            logger.info("request.finished", extra={"fields": FIELDS})

    yield write
    logger.removeHandler(handler)
    handler.close()


@contextmanager
def _structlog(folder: Path) -> Iterator[Write]:
    with (folder / "structlog.log").open("w", encoding="utf-8") as file:
        log = structlog.wrap_logger(
            structlog.WriteLogger(file),
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.JSONRenderer(),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            cache_logger_on_first_use=True,
        )
        yield _repeated(log.info)


@contextmanager
def _ours(
    folder: Path, *, turn: int, is_bound: bool = False, console: TextIO | None = None
) -> Iterator[Write]:
    settings = Settings.from_environment({"EYAS_LOG_DIR": str(folder)})
    logs.configure("web", settings, console=console, environment={})
    called_soon: list[Callable[[], None]] = []
    if turn:
        logs.write_by_turns(called_soon.append)
    log = structlog.get_logger("web")
    if is_bound:
        log = log.bind()

    def write(count: int) -> None:
        if not turn:
            _repeated(log.info)(count)
            return
        for _ in range(count // turn):
            _repeated(log.info)(turn)
            while called_soon:
                called_soon.pop()()

    yield write
    logs.reset()


@contextmanager
def _with_console(folder: Path, *, turn: int) -> Iterator[Write]:
    reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)  # noqa: S607  any
    with reader, _ours(folder, turn=turn, console=reader.stdin) as write:
        yield write


def _repeated(info: Callable[..., object]) -> Write:
    def write(count: int) -> None:
        for _ in range(count):
            info("request.finished", **FIELDS)

    return write
