"""Structlog's loggers, the way of our own lines into the pipeline."""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
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
