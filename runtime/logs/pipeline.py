"""What every log line goes through, ours and other libraries': fields in, file and console out."""

import os
import sys
import time
import traceback
from contextvars import copy_context
from datetime import UTC, datetime
from typing import Any

from structlog.contextvars import get_contextvars

from runtime.logs import encode, forks
from runtime.logs.line import Line
from runtime.logs.output import Output

# In the order of a line. The first four always say what is true of this process; an event that
# has a field of such a name keeps it with an underscore. The last three an event may bring itself:
# that is how the lines of another program are passed on.
RESERVED = frozenset({"level", "event", "process", "instance", "timestamp", "logger", "pid"})

_FIXED = frozenset({"level", "event", "process", "instance"})

# What a field of this name means is more than its value.
_SPECIAL = RESERVED | {"exc_info", "stack_info"}

# Events are names, and few; but libraries put texts there, and there is no end of those.
_MAX_HEAD_COUNT = 1_000
_MAX_HEAD_BYTES = 2_000
# With a head, this is less than what has to be shortened.
_MAX_BODY_BYTES = encode.MAX_LINE_BYTES // 2


class Pipeline(forks.Forkable):
    """Makes the line of one event and writes it to the file and to the console.

    Nearly all lines have short texts and numbers only. `emit` puts them together from what all
    lines of a second, and what all lines of an event, have in common, and their fields encoded in
    one go. The others take the long way through `line`; what comes out is the same.
    """

    def __init__(
        self,
        *,
        process: str,
        instance: str,
        output: Output,
    ) -> None:
        self._process = process
        self._instance = instance
        self._output = output
        self._heads: dict[tuple[str, str, str], bytes] = {}
        self._second = (-1, b"")
        forks.register(self)

    def emit(
        self,
        *,
        level: str,
        event: object,
        logger: str,
        fields: dict[str, Any],
        created_at: datetime | None = None,
    ) -> None:
        """Write one event. `fields`, which it takes over, win over the bound context variables."""
        # Mostly there are no variables at all, and asking for them costs as much as encoding.
        if len(copy_context()):
            fields = {**get_contextvars(), **fields}
        if (
            created_at is None
            and type(event) is str
            and type(logger) is str
            and _SPECIAL.isdisjoint(fields)
        ):
            body = encode.encode_simple(fields) if fields else None
            head = self._heads.get((level, event, logger)) or self._head(level, event, logger)
            if body is not None and head is not None and len(body) < _MAX_BODY_BYTES:
                second, microsecond = divmod(time.time_ns() // 1_000, 1_000_000)
                known_second, text = self._second
                if second != known_second:
                    text = self._begin_second(second)
                data = b"".join((text, b"%06dZ" % microsecond, head, body[1:], b"\n"))
                self._output.write(Line(data, level))
                return
        line = self.line(
            level=level, event=event, logger=logger, fields=fields, created_at=created_at
        )
        self._output.write(Line(encode.encode_line(line), level, line))

    def renew_in_child(self) -> None:
        """Have another process id."""
        self._heads = {}

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
            **self._origin(level, event if type(event) is str else encode.text_of(event), logger),
        }
        fields = encode.plain_fields(fields)
        if not RESERVED.isdisjoint(fields):
            _settle_conflicts(line, fields)
        line.update(fields)
        return line

    def _begin_second(self, second: int) -> bytes:
        """Return what all lines of a second begin with."""
        text = _format(datetime.fromtimestamp(second, UTC)).removesuffix("000000Z")
        start = b'{"timestamp":"' + text.encode()
        self._second = (second, start)  # both at once: other threads log too
        return start

    def _head(self, level: str, event: str, logger: str) -> bytes | None:
        """Return what stands between timestamp and fields; None if that is unusual or long."""
        origin = encode.encode_simple(self._origin(level, event, logger))
        if origin is None or len(origin) > _MAX_HEAD_BYTES:
            return None
        if len(self._heads) >= _MAX_HEAD_COUNT:
            self._heads = {}
        head = self._heads[level, event, logger] = b'",' + origin[1:-1] + b","
        return head

    def _origin(self, level: str, event: str, logger: str) -> dict[str, Any]:
        return {
            "level": level,
            "event": event,
            "logger": logger,
            "process": self._process,
            "instance": self._instance,
            "pid": os.getpid(),
        }


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
