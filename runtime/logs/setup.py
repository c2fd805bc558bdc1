"""Set up logging of one process: structlog and the standard library, to a file and the console."""

import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Any, Final, Literal, TextIO

from runtime.logs import encode, loggers
from runtime.logs.console import Console
from runtime.logs.foreign import ForeignHandler
from runtime.logs.output import CallSoon, Output
from runtime.logs.pipeline import Pipeline
from runtime.logs.sink import FileSink
from runtime.settings import Settings

_LOGGER = "runtime.logs"


class _Stream(Enum):
    # Not `sys.stdout` as the default value itself: that would be what it was at import.
    STDOUT = "the standard output of the moment"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Before:
    """What `configure` found and `reset` puts back."""

    root_level: int
    root_handlers: tuple[logging.Handler, ...]
    foreign_levels: Mapping[str, int]
    excepthook: Callable[..., object]
    thread_excepthook: Callable[..., object]
    output: Output


_before: _Before | None = None


def configure(
    process: str,
    settings: Settings,
    *,
    console: TextIO | Literal[_Stream.STDOUT] | None = _Stream.STDOUT,
    quiet: Mapping[str, int] = {},
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Log from now on to `<log_dir>/<process>.log` and to `console`; None is no console.

    Covers structlog, `logging`, warnings, and exceptions that nothing catches. `quiet` gives levels
    to loggers of other libraries, as `{"celery.worker.strategy": logging.WARNING}`. Called again,
    it replaces what was set up before; after a fork that is allowed but not necessary.
    """
    global _before  # noqa: PLW0603 - logging is one per process, by nature
    reset()
    stream = sys.stdout if console is _Stream.STDOUT else console
    instance = (
        environment.get("HONCHO_PROCESS_NAME")
        or environment.get("SUPERVISOR_PROCESS_NAME")
        or process
    )
    sink = FileSink(
        settings.log_dir / f"{process}.log",
        max_bytes=settings.log_max_bytes,
        backups=settings.log_backups,
        resumed=lambda count: encode.encode_line(
            pipeline.line(
                level="warning", event="log.resumed", logger=_LOGGER, fields={"missed_count": count}
            )
        ),
    )
    output = Output(
        sink,
        None
        if stream is None
        else Console(
            stream,
            path=sink.path,
            has_colors=_has_colors(stream, environment),
            # honcho says in front of each line which process it is; supervisord does not.
            has_process="HONCHO_PROCESS_NAME" not in environment,
        ),
    )
    pipeline = Pipeline(process=process, instance=instance, output=output)
    root = logging.getLogger()
    _before = _Before(
        root_level=root.level,
        root_handlers=tuple(root.handlers),
        foreign_levels={name: logging.getLogger(name).level for name in quiet},
        excepthook=sys.excepthook,
        thread_excepthook=threading.excepthook,
        output=output,
    )
    minimum_level = loggers.LEVELS[settings.log_level]
    loggers.connect(pipeline, minimum_level=minimum_level)
    root.handlers[:] = [ForeignHandler(pipeline)]
    root.setLevel(minimum_level)
    for name, level in quiet.items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(capture=True)
    _log_crashes(pipeline, has_console=stream is not None)


def reset() -> None:
    """Put back what `configure` found, and close the log file. For tests."""
    global _before
    if _before is None:
        return
    before, _before = _before, None
    sys.excepthook = before.excepthook
    threading.excepthook = before.thread_excepthook
    logging.captureWarnings(capture=False)
    root = logging.getLogger()
    root.handlers[:] = before.root_handlers
    root.setLevel(before.root_level)
    for name, level in before.foreign_levels.items():
        logging.getLogger(name).setLevel(level)
    loggers.disconnect()
    before.output.close()


def write_by_turns(call_soon: CallSoon) -> None:
    """Gather this thread's lines from now on, and write them when a turn of its event loop ends.

    `call_soon` is the loop's: asyncio's, uvloop's, or that of a kombu hub. Errors, and lines of
    other threads, are written at once, and what waits before them. The rest is written at the
    latest when the process ends by itself. It must not be left to die of a signal (SIGTERM has to
    have a handler), nor replace itself (`os.execv`) without `flush` or `write_at_once`.
    """
    if _before is not None:
        _before.output.by_turns(call_soon)


def write_at_once() -> None:
    """Write the lines that wait, and from now on each by itself, as before `write_by_turns`."""
    if _before is not None:
        _before.output.at_once()


def flush() -> None:
    """Write the lines that wait for the end of a turn, which may be said this way too."""
    if _before is not None:
        _before.output.flush()


def pass_through(*names: str) -> dict[str, Any]:
    """Return a `logging.config.dictConfig` by which the named loggers leave it to the root logger.

    For servers that insist on configuring loggers of their own, with handlers of their own, and
    take such a dict for it.
    """
    passing: Final = {name: {"handlers": [], "propagate": True} for name in names}
    return {"version": 1, "disable_existing_loggers": False, "handlers": {}, "loggers": passing}


def _has_colors(stream: TextIO | None, environment: Mapping[str, str]) -> bool:
    if stream is None or environment.get("NO_COLOR"):
        return False
    try:
        return stream.isatty()
    except ValueError:  # it is closed
        return False


def _log_crashes(pipeline: Pipeline, *, has_console: bool) -> None:
    previous_hook = sys.excepthook

    def log(error: BaseException, fields: Mapping[str, object]) -> None:
        pipeline.emit(
            level="critical",
            event="process.crashed",
            logger=_LOGGER,
            fields={**fields, "exc_info": error},
        )

    def on_crash(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        is_interrupt = issubclass(kind, KeyboardInterrupt)
        if not is_interrupt:
            log(error, {})
        if is_interrupt or not has_console:
            previous_hook(kind, error, trace)

    def on_thread_crash(crash: threading.ExceptHookArgs) -> None:
        # A thread that raises SystemExit has chosen to end: threading says nothing either.
        if crash.exc_value is not None and not issubclass(crash.exc_type, SystemExit):
            log(crash.exc_value, {"thread": crash.thread.name if crash.thread else None})

    sys.excepthook = on_crash
    threading.excepthook = on_thread_crash
