"""`LogType=Tail`: what an invocation has logged, as AWS writes it.

It is made of the lines in the log folder. The worker writes the last one, about the end of the
attempt, a moment after the outcome is known here.
"""

import base64
import math
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from runtime.invocation import TERMINAL, Record, Status
from runtime.lambda_context import LATEST, MEMORY_MB
from runtime.lambda_errors import sandbox_error, type_of
from runtime.logs.reader import LogFilter, follow
from runtime.logs.record import LogRecord

_MOST_BYTES = 4096
_WAIT_SECONDS = 2.0
_POLL_SECONDS = 0.01
_OURS = "worker"
_TRACEBACK = "Traceback (most recent call last):\n"
_INDENT = "\u00a0"
_RUN = frozenset({Status.SUCCEEDED, Status.FAILED})
# Of a line that a handler has logged, these are not what it has said.
_NOT_SAID = frozenset(
    {"timestamp", "level", "event", "logger", "process", "instance", "pid"}
    | {"invocation_id", "function", "request_id", "attempt", "exception"}
)


def read_tail(
    log_dir: Path,
    record: Record,
    *,
    since: datetime | None,
    is_quiet: bool,
    wait_seconds: float = _WAIT_SECONDS,
) -> str:
    """Return the last 4 KB of the log of an invocation that has ended, in base64.

    Blocks until the worker has logged the end, `wait_seconds` at most. With `is_quiet` it does not
    log that of a success, so that there is nothing to wait for.
    """
    will_come = record.status in _RUN and not (is_quiet and record.status is Status.SUCCEEDED)
    lines = _records(
        log_dir, record.id, since=since, wait_seconds=wait_seconds if will_come else 0.0
    )
    text = "".join(_text(lines, record))
    return base64.b64encode(text.encode()[-_MOST_BYTES:]).decode()


class _Deadline:
    """Ends `follow` at some time."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._never = threading.Event()

    def wait(self, timeout: float) -> bool:
        left = self._until - time.monotonic()
        self._never.wait(max(0.0, min(timeout, left)))
        return left <= timeout


def _records(
    log_dir: Path, invocation_id: str, *, since: datetime | None, wait_seconds: float
) -> list[LogRecord]:
    wanted = LogFilter(id=invocation_id, is_whole_id=True, since=since, process=_OURS)
    found = []
    with closing(
        follow(log_dir, filter=wanted, stop=_Deadline(wait_seconds), poll_seconds=_POLL_SECONDS)
    ) as lines:
        for line in lines:
            found.append(line)
            if _is_end(line) and line.fields.get("status") in TERMINAL:
                break
    return found


def _is_end(line: LogRecord) -> bool:
    return line.event == "attempt.finished" and line.fields.get("logger") == _OURS


def _text(lines: Iterable[LogRecord], record: Record) -> Iterator[str]:
    """Yield what AWS would have written; once more from START to REPORT for each attempt."""
    start = f"START RequestId: {record.id} Version: {LATEST}\n"
    is_open = False
    has_ended = False
    for line in lines:
        is_said = line.fields.get("logger") != _OURS
        if not is_said and not _is_end(line):
            continue
        if not is_open:
            yield start
        is_open = True
        if is_said:
            yield _said(line, record.id)
            continue
        yield _failed(line, record.id)
        yield _report(record.id, line.fields.get("run_ms"))
        is_open, has_ended = False, True
    if is_open or not has_ended:
        yield start if not is_open else ""
        yield _report(record.id, record.run_ms)


def _said(line: LogRecord, invocation_id: str) -> str:
    if line.event == "handler.output":
        return f"{line.fields.get('text')}\n"
    fields = "".join(
        f" {name}={value if isinstance(value, str) else _json(value)}"
        for name, value in line.fields.items()
        if name not in _NOT_SAID
    )
    exception = line.fields.get("exception")
    traceback = f"\n{str(exception).rstrip()}" if exception else ""
    return (
        f"[{line.level.upper()}]\t{_moment(line)}\t{invocation_id}\t{line.event}{fields}"
        f"{traceback}\n"
    )


def _failed(line: LogRecord, invocation_id: str) -> str:
    error_type = line.fields.get("error_type")
    if error_type is None:
        return ""
    message = str(line.fields.get("error_message"))
    ended = sandbox_error(str(error_type), message)
    if ended is None:
        frames = _frames(str(line.fields.get("exception") or ""))
        shown = str(error_type) if frames else type_of(str(error_type))
        return f"[ERROR] {shown}: {message}\n{frames}"
    if ended[0] == "Sandbox.Timedout":
        return f"{_moment(line)} {invocation_id} {ended[1]}\n\n"
    return f"RequestId: {invocation_id} Error: {ended[1]}\n{ended[0]}\n"


def _frames(traceback: str) -> str:
    """Return the frames of what was raised, and indent them as AWS does: with U+00A0."""
    *_, latest = traceback.split(_TRACEBACK)
    lines = [line for line in latest.split("\n") if line.startswith("  ")]
    if not lines:
        return ""
    indented = "".join(f"{_INDENT * (len(x) - len(x.lstrip()))}{x.lstrip()}\n" for x in lines)
    return _TRACEBACK + indented


def _report(invocation_id: str, run_ms: Any) -> str:
    duration_ms = float(run_ms or 0.0)
    return (
        f"END RequestId: {invocation_id}\n"
        f"REPORT RequestId: {invocation_id}\tDuration: {duration_ms:.2f} ms\t"
        f"Billed Duration: {max(1, math.ceil(duration_ms))} ms\tMemory Size: {MEMORY_MB} MB\t"
        "Max Memory Used: 0 MB\t\n"  # not measured
    )


def _moment(line: LogRecord) -> str:
    return line.timestamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
