"""What every log line goes through, ours and other libraries': fields in, file and console out."""

import os
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

from structlog.contextvars import get_contextvars

from runtime.logs import encode
from runtime.logs.console import Console
from runtime.logs.sink import FileSink

# In the order of a line. The first four always say what is true of this process; an event that
# has a field of such a name keeps it with an underscore. The last three an event may bring itself:
# that is how the lines of another program are passed on.
RESERVED = frozenset({"level", "event", "process", "instance", "timestamp", "logger", "pid"})

_FIXED = frozenset({"level", "event", "process", "instance"})


class Pipeline:
    """Makes the line of one event and writes it to the file and to the console."""

    def __init__(
        self,
        *,
        process: str,
        instance: str,
        sink: FileSink,
        console: TextIO | None,
        has_colors: bool,
        has_process: bool,
    ) -> None:
        self._process = process
        self._instance = instance
        self._sink = sink
        self._console = (
            None
            if console is None
            else Console(console, has_colors=has_colors, has_process=has_process)
        )

    def emit(
        self,
        *,
        level: str,
        event: object,
        logger: str,
        fields: Mapping[str, Any],
        created_at: datetime | None = None,
    ) -> None:
        """Write one event. `fields` win over the bound context variables."""
        line = self.line(
            level=level,
            event=event,
            logger=logger,
            fields={**get_contextvars(), **fields},
            created_at=created_at,
        )
        self._sink.write(encode.encode_line(line))
        if self._console is not None:
            self._console.write(line)

    def line(
        self,
        *,
        level: str,
        event: object,
        logger: str,
        fields: dict[str, Any],
        created_at: datetime | None = None,
    ) -> dict[str, Any]:
        """Return the JSON object of one event. Takes `fields` over."""
        if "exc_info" in fields:
            _add_exception(fields)
        if "stack_info" in fields:
            _add_stack(fields)
        line = {
            "timestamp": _format(created_at or datetime.now(UTC)),
            "level": level,
            "event": event if type(event) is str else encode.text_of(event),
            "logger": logger,
            "process": self._process,
            "instance": self._instance,
            "pid": os.getpid(),
        }
        fields = encode.plain_fields(fields)
        if not RESERVED.isdisjoint(fields):
            _settle_conflicts(line, fields)
        line.update(fields)
        return line


def _settle_conflicts(line: dict[str, Any], fields: dict[str, Any]) -> None:
    for name in RESERVED.intersection(fields):
        value = fields.pop(name)
        own = _rfc3339(value) if name == "timestamp" else value
        if name in _FIXED or type(own) is not type(line[name]):
            fields[f"{name}_"] = value
        else:
            line[name] = own


def _rfc3339(value: object) -> str | None:
    """Return a timestamp in the one form that all lines have, so that it sorts with them."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        return None if moment is None or not moment.tzinfo else _format(moment.astimezone(UTC))
    except (ValueError, OverflowError):
        return None


def _format(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def _add_exception(fields: dict[str, Any]) -> None:
    error = _exception_of(fields.pop("exc_info"))
    if error is not None:
        fields["exception"] = format_exception(error)


def _exception_of(exc_info: object) -> BaseException | None:
    """Read `exc_info` in every form that logging and structlog know."""
    if isinstance(exc_info, tuple):
        exc_info = exc_info[1] if len(exc_info) > 1 else None
    elif exc_info is True or exc_info == 1:
        exc_info = sys.exception()
    return exc_info if isinstance(exc_info, BaseException) else None


def format_exception(error: BaseException) -> str:
    """Return the traceback as text. Local variables stay out: they may be secrets."""
    try:
        return "".join(traceback.format_exception(error)).rstrip()
    except Exception as problem:  # noqa: BLE001 - the exception's own code
        return f"{type(error).__name__}, with a traceback that raises {type(problem).__name__}"


def _add_stack(fields: dict[str, Any]) -> None:
    stack = fields.pop("stack_info")
    if stack is True:
        frame = sys._getframe()  # noqa: SLF001 - what traceback and logging use
        while frame.f_back and frame.f_globals.get("__name__", "").startswith("runtime.logs"):
            frame = frame.f_back
        stack = "".join(traceback.format_stack(frame)).rstrip()
    if stack:
        fields["stack"] = stack
