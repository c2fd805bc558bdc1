"""The log records of all processes, from all files and their backups, in the order of time."""

import heapq
import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from runtime.errors import EyasError
from runtime.logs.files import Family, families
from runtime.logs.record import LogRecord, parse

LEVEL_NAMES = ("debug", "info", "warning", "error", "critical")

_LEVEL_RANKS = {name: rank for rank, name in enumerate(LEVEL_NAMES)}
_MIN_ID_PREFIX = 8
# A writer may be held up between looking at the clock and writing. Lines that are out of order by
# no more places than this come out in order.
_REORDER_WINDOW = 512
_MAX_LISTED_ID_COUNT = 5
_POLL_SECONDS = 0.2
# Texts that JSON writes as they are, so that a line that has them can be told before parsing it.
_VERBATIM = re.compile(r"[\w.:/@+-]+", re.ASCII)


class AmbiguousIdError(EyasError):
    """The beginning of an id was given, and more than one id in the logs begins so."""

    def __init__(self, prefix: str, identifiers: Iterable[str]) -> None:
        listed = sorted(identifiers)
        shown = ", ".join(listed[:_MAX_LISTED_ID_COUNT])
        more = ", ..." if len(listed) > _MAX_LISTED_ID_COUNT else ""
        super().__init__(f"more than one id begins with {prefix!r}: {shown}{more}. Give more of it")


class Stop(Protocol):
    """What ends `follow`; a `threading.Event` is one."""

    def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds, and tell whether to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """Which records are wanted; None is any.

    `id` is an invocation id or a request id, or the beginning of one: 8 characters or more that
    no other id in the logs begins with. Who knows that it is a whole one says `is_whole_id`, which
    saves looking. `level` is the lowest. `since` is an aware datetime. Only the files of `process`
    are read.
    """

    id: str | None = None
    is_whole_id: bool = False
    function: str | None = None
    level: str | None = None
    since: datetime | None = None
    process: str | None = None

    def matches(self, record: LogRecord) -> bool:
        """Tell whether the record is wanted."""
        fields = record.fields
        if self.since is not None and record.timestamp < self.since:
            return False
        if self.level is not None and _rank(record.level) < _rank(self.level):
            return False
        if self.function is not None and fields.get("function") != self.function:
            return False
        return self.id is None or bool(self.matching_ids(record))

    def matching_ids(self, record: LogRecord) -> set[str]:
        """Return the ids of the record that `id` stands for."""
        wanted = self.id or ""
        takes_prefix = not self.is_whole_id and len(wanted) >= _MIN_ID_PREFIX
        several = record.fields.get("invocation_ids")
        values = (
            record.fields.get("invocation_id"),
            record.fields.get("request_id"),
            *(several if isinstance(several, list) else ()),
        )
        return {
            value
            for value in values
            if isinstance(value, str)
            and (value == wanted or (takes_prefix and value.startswith(wanted)))
        }

    def may_match(self, line: bytes) -> bool:
        """Tell quickly whether a line is worth parsing."""
        return all(
            text.encode() in line
            for text in (self.id, self.function)
            if text is not None and _VERBATIM.fullmatch(text)
        )


def read(log_dir: Path, *, filter: LogFilter = LogFilter()) -> Iterator[LogRecord]:  # noqa: A002
    """Yield the wanted records of the folder, oldest first.

    Raises `AmbiguousIdError` if `filter.id` is the beginning of several ids.
    """
    wanted = _resolve(log_dir, filter)
    with ExitStack() as stack:
        logs = [_Log(path) for path in sorted(_wanted_files(log_dir, wanted))]
        for log in logs:
            stack.callback(log.close)
        yield from _merged(logs, wanted, to_end=True)


def follow(
    log_dir: Path,
    *,
    filter: LogFilter = LogFilter(),  # noqa: A002
    stop: Stop,
    poll_seconds: float = _POLL_SECONDS,
) -> Generator[LogRecord]:
    """Yield the wanted records there are, oldest first, and then new ones as they are written.

    Once `stop` is set it yields what was written before that, and ends.
    """
    wanted = _resolve(log_dir, filter)
    with ExitStack() as stack:
        logs: dict[Path, _Log] = {}

        def discover() -> None:
            for path in sorted(_wanted_files(log_dir, wanted) - logs.keys()):
                logs[path] = _Log(path)
                stack.callback(logs[path].close)

        discover()
        yield from _merged(logs.values(), wanted, to_end=False)
        is_stopping = False
        while True:
            batch = [record for log in logs.values() for record in log.poll(wanted)]
            batch.sort(key=_timestamp)
            yield from batch
            has_more = any(log.family.has_more for log in logs.values())
            if is_stopping and not has_more:
                return
            is_stopping = stop.wait(0 if has_more else poll_seconds) or is_stopping
            discover()


class _Log:
    """The records of one log file with its backups."""

    def __init__(self, path: Path) -> None:
        self.family = Family(path)
        self._process = path.name.removesuffix(".log")
        self._last_at: datetime | None = None

    def past(self, wanted: LogFilter, *, to_end: bool) -> Iterator[LogRecord]:
        """Yield the records there are, as ordered as the window allows."""
        heap: list[tuple[datetime, int, LogRecord]] = []
        for number, record in enumerate(self._past(wanted, to_end=to_end)):
            item = (record.timestamp, number, record)
            if len(heap) < _REORDER_WINDOW:
                heapq.heappush(heap, item)
            else:
                yield heapq.heappushpop(heap, item)[2]
        while heap:
            yield heapq.heappop(heap)[2]

    def poll(self, wanted: LogFilter) -> Iterator[LogRecord]:
        """Yield the records that were added."""
        for line in self.family.poll():
            yield from self._records(line, wanted)

    def close(self) -> None:
        """Close the files."""
        self.family.close()

    def _past(self, wanted: LogFilter, *, to_end: bool) -> Iterator[LogRecord]:
        for line in self.family.past(wanted.since):
            yield from self._records(line, wanted)
        if to_end:
            for line in self.family.end():
                # Without a newline: being written just now, or the remains of a killed writer.
                if line.endswith(b"}"):
                    yield from self._records(line, wanted)

    def _records(self, line: bytes, wanted: LogFilter) -> Iterator[LogRecord]:
        if not wanted.may_match(line):
            return
        at = self._last_at or datetime.fromtimestamp(self.family.modified_at, UTC)
        for record in parse(line, process=self._process, fallback_at=at):
            self._last_at = record.timestamp
            if wanted.matches(record):
                yield record


def _merged(logs: Iterable[_Log], wanted: LogFilter, *, to_end: bool) -> Iterator[LogRecord]:
    return heapq.merge(*(log.past(wanted, to_end=to_end) for log in logs), key=_timestamp)


def _resolve(log_dir: Path, wanted: LogFilter) -> LogFilter:
    """Put the whole id into a filter that has the beginning of one."""
    if wanted.id is None or wanted.is_whole_id:
        return wanted
    by_id = LogFilter(id=wanted.id)
    found: set[str] = set()
    for path in families(log_dir):
        with closing(_Log(path)) as log:
            for record in log.past(by_id, to_end=True):
                found |= by_id.matching_ids(record)
                if wanted.id in found:
                    return replace(wanted, is_whole_id=True)
    if len(found) > 1:
        raise AmbiguousIdError(wanted.id, found)
    # If there is none, the first may yet be written.
    return replace(wanted, id=found.pop(), is_whole_id=True) if found else wanted


def _wanted_files(log_dir: Path, wanted: LogFilter) -> set[Path]:
    found = families(log_dir)
    if wanted.process is None:
        return found
    return {path for path in found if path.name == f"{wanted.process}.log"}


def _rank(level: str) -> int:
    return _LEVEL_RANKS.get(level, _LEVEL_RANKS["info"])


def _timestamp(record: LogRecord) -> datetime:
    return record.timestamp
