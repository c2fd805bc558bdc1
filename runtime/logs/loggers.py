"""The two ways into the pipeline: structlog's loggers, and the standard library's."""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from runtime.logs import encode
from runtime.logs.pipeline import Pipeline

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}

# What a record has without anybody's `extra`; the last three are added late or by newer Pythons.
_RECORD_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
}
# Celery hangs the arguments of a task here. Payloads are not for logs.
_CELERY_TASK_EXTRA = "data"


def level_name(number: int) -> str:
    """Return the name of the highest of our levels that is not above `number`."""
    for name, level in reversed(LEVELS.items()):
        if number >= level:
            return name
    return "debug"


class NamedLogger:
    """What structlog asks for: the end of a chain. The pipeline is that already."""

    __slots__ = ("given_name",)

    def __init__(self, given_name: str | None) -> None:
        self.given_name = given_name

    @property
    def name(self) -> str:
        """The name of the logger: that of the module which uses it, if it was made without one."""
        return self.given_name or calling_module()


class EventLogger(structlog.BoundLoggerBase):
    """The logger that `structlog.get_logger()` gives: structlog's methods, none of which raises.

    structlog's own raise when `%s` and the arguments do not match, and for fields named `event`
    or `self`.
    """

    _logger: NamedLogger

    def debug(self, event: object = "", /, *args: object, **fields: object) -> None:
        self._log("debug", event, args, fields)

    def info(self, event: object = "", /, *args: object, **fields: object) -> None:
        self._log("info", event, args, fields)

    def warning(self, event: object = "", /, *args: object, **fields: object) -> None:
        self._log("warning", event, args, fields)

    def error(self, event: object = "", /, *args: object, **fields: object) -> None:
        self._log("error", event, args, fields)

    def critical(self, event: object = "", /, *args: object, **fields: object) -> None:
        self._log("critical", event, args, fields)

    def exception(self, event: object = "", /, *args: object, **fields: object) -> None:
        self._log("error", event, args, {"exc_info": True, **fields})

    def log(self, level: int, event: object = "", /, *args: object, **fields: object) -> None:
        self._log(level_name(level), event, args, fields)

    # A line takes a few microseconds: structlog's detour through a thread would cost more.
    async def adebug(self, event: object = "", /, *args: object, **fields: object) -> None:
        self._log("debug", event, args, fields)

    async def ainfo(self, event: object = "", /, *args: object, **fields: object) -> None:
        self._log("info", event, args, fields)

    async def awarning(self, event: object = "", /, *args: object, **fields: object) -> None:
        self._log("warning", event, args, fields)

    async def aerror(self, event: object = "", /, *args: object, **fields: object) -> None:
        self._log("error", event, args, fields)

    async def acritical(self, event: object = "", /, *args: object, **fields: object) -> None:
        self._log("critical", event, args, fields)

    async def aexception(self, event: object = "", /, *args: object, **fields: object) -> None:
        self._log("error", event, args, {"exc_info": True, **fields})

    async def alog(
        self, level: int, event: object = "", /, *args: object, **fields: object
    ) -> None:
        self._log(level_name(level), event, args, fields)

    warn = warning
    fatal = critical
    msg = info

    def _log(
        self, level: str, event: object, args: tuple[object, ...], fields: dict[str, object]
    ) -> None:
        pipeline = _current.pipeline
        if pipeline is None:
            self._hand_on(level, event, args, fields)
            return
        if LEVELS[level] < _current.minimum_level:
            return
        if self._context:
            fields = {**self._context, **fields}
        if args:
            event = _interpolate(event, args)
        if self._processors == _ONLY_OURS:
            name = self._logger.given_name or calling_module()
            pipeline.emit(level=level, event=event, logger=name, fields=fields)
        else:
            self._process(level, event, fields)

    def _process(self, level: str, event: object, fields: dict[str, object]) -> None:
        """Go through processors that are not ours, as structlog.testing.capture_logs() sets up."""
        if "event" in fields:
            fields["event_"] = fields["event"]
        event_dict: Any = {**fields, "event": event}
        try:
            for processor in self._processors:
                event_dict = processor(self._logger, level, event_dict)
        except structlog.DropEvent:
            return

    def _hand_on(
        self, level: str, event: object, args: tuple[object, ...], fields: dict[str, object]
    ) -> None:
        """Use what structlog is set up for now that we are not set up any more."""
        name = self._logger.given_name
        logger = structlog.get_logger(*() if name is None else (name,)).bind(**self._context)
        getattr(logger, level)(event, *args, **fields)


def write_event(
    logger: NamedLogger, level: str, event_dict: MutableMapping[str, Any]
) -> Mapping[str, Any]:
    """Hand an event to the pipeline: the one structlog processor."""
    fields = dict(event_dict)
    event = fields.pop("event")
    if _current.pipeline is not None:
        _current.pipeline.emit(level=level, event=event, logger=logger.name, fields=fields)
    return event_dict


@dataclass(slots=True)
class _Current:
    """What is set up now. Loggers are made once, and look here every time."""

    pipeline: Pipeline | None = None
    minimum_level: int = logging.INFO


_current = _Current()
_ONLY_OURS = [write_event]
# One list for ever, which loggers keep: capture_logs() exchanges what is in it.
_PROCESSORS = [write_event]


def connect(pipeline: Pipeline, *, minimum_level: int) -> None:
    """Let structlog's loggers, those that are in use included, write to `pipeline`."""
    _current.pipeline = pipeline
    _current.minimum_level = minimum_level
    structlog.configure(
        processors=_PROCESSORS,
        wrapper_class=EventLogger,
        context_class=dict,
        logger_factory=lambda *names: NamedLogger(str(names[0]) if names else None),
        # Making a logger for every line took a fifth of the line's time.
        cache_logger_on_first_use=True,
    )


def disconnect() -> None:
    """Put structlog back to its defaults; loggers that are in use follow them."""
    _current.pipeline = None
    structlog.reset_defaults()


class ForeignHandler(logging.Handler):
    """Handler of the root logger: the lines of every library that uses `logging`."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        self._pipeline = pipeline

    def createLock(self) -> None:  # noqa: N802 - the name in logging
        """Have no lock: the pipeline has its own, which survive a fork."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Emit a record that passes the filters; from Python 3.13 on, the base needs a lock."""
        passed: Any = self.filter(record)  # from Python 3.12 on, perhaps another record
        if passed:
            self.emit(record if passed is True else passed)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record with its `extra`, its exception and the bound context variables."""
        attributes = vars(record)
        fields = {
            name: value for name, value in attributes.items() if name not in _RECORD_ATTRIBUTES
        }
        if record.name.startswith("celery."):
            fields.pop(_CELERY_TASK_EXTRA, None)
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        elif record.exc_text:
            fields["exception"] = record.exc_text
        if record.stack_info:
            fields["stack"] = record.stack_info
        self._pipeline.emit(
            level=level_name(record.levelno),
            event=_message(record),
            logger=record.name,
            fields=fields,
            created_at=_created_at(record),
        )


def calling_module() -> str:
    """Return the name of the module that uses a logger which was made without a name."""
    frame = sys._getframe(1)  # noqa: SLF001 - what logging and structlog use
    while True:
        name = str(frame.f_globals.get("__name__", ""))
        if not name.startswith(("structlog.", "runtime.logs")) or frame.f_back is None:
            return name
        frame = frame.f_back


def _interpolate(event: object, args: tuple[object, ...]) -> str:
    template = encode.text_of(event)
    try:
        if len(args) == 1 and args[0] and isinstance(args[0], Mapping):
            return template % args[0]
        return template % args
    except Exception:  # noqa: BLE001 - a wrong template, or an argument's own code
        return f"{template} {encode.text_of(args)}"


def _created_at(record: logging.LogRecord) -> datetime | None:
    try:
        return datetime.fromtimestamp(record.created, UTC)
    except (ValueError, OverflowError, OSError, TypeError):  # a record that somebody made up
        return None


def _message(record: logging.LogRecord) -> str:
    try:
        # Messages for a terminal often end in a newline; those of warnings always do.
        return str(record.getMessage()).rstrip("\n")
    except Exception:  # noqa: BLE001 - a wrong template, or an argument's own code
        return f"{encode.text_of(record.msg)} {encode.text_of(record.args)}"
