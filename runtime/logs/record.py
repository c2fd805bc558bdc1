"""One line of a log file, read back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from runtime.logs.encode import encode_line

_DECODE = msgspec.json.Decoder().decode
# All our lines begin so: behind the remains of a torn line, that is where the next one starts.
_START = b'{"timestamp":"'
# What is nearer to the ends of what a `datetime` can hold has no time of day in some time zones.
_EARLIEST = datetime.min.replace(tzinfo=UTC) + timedelta(days=1)
_LATEST = datetime.max.replace(tzinfo=UTC) - timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """What one line says. `fields` is its whole JSON object, `line` the JSON without newline."""

    timestamp: datetime
    level: str
    event: str
    process: str
    fields: Mapping[str, Any]
    line: bytes


def parse(line: bytes, *, process: str, fallback_at: datetime) -> Iterator[LogRecord]:
    """Yield what is on one line of the log file of `process`.

    Text that is not JSON, a library's or a torn line's, becomes a record with that text as its
    event and the time `fallback_at`. Is a whole line glued to a torn one, both are yielded.
    """
    if not line.strip():
        return
    fields = _decode(line)
    if fields is None and (start := line.rfind(_START)) > 0:
        rest = _decode(line[start:])
        if rest is not None:
            fallback_at = _moment(rest.get("timestamp")) or fallback_at
            yield _text(line[:start], process=process, fallback_at=fallback_at)
            line, fields = line[start:], rest
    if fields is None:
        yield _text(line, process=process, fallback_at=fallback_at)
        return
    yield LogRecord(
        timestamp=_moment(fields.get("timestamp")) or fallback_at,
        level=str(fields.get("level", "info")),
        event=str(fields.get("event", "")),
        process=str(fields.get("process", process)),
        fields=fields,
        line=line,
    )


def _decode(line: bytes) -> dict[str, Any] | None:
    try:
        value = _DECODE(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _moment(timestamp: object) -> datetime | None:
    """Return a time in UTC; None for what is no time, or too far away to be shown."""
    if not isinstance(timestamp, str):
        return None
    try:
        moment = datetime.fromisoformat(timestamp)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return moment if _EARLIEST <= moment <= _LATEST else None


def _text(line: bytes, *, process: str, fallback_at: datetime) -> LogRecord:
    text = line.decode("utf-8", "backslashreplace")
    fields = {
        "timestamp": fallback_at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "level": "info",
        "event": text,
        "process": process,
    }
    return LogRecord(
        timestamp=fallback_at,
        level="info",
        event=text,
        process=process,
        fields=fields,
        line=encode_line(fields).rstrip(b"\n"),
    )
