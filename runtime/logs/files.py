"""Reading one log file with its backups while others write and rotate it.

Names change under a reader: what was `web.log` is `web.log.1` a moment later. So a file is known by
its identity (device and inode), looked for from the youngest name to the oldest, because that is
the way files move: one that moves meanwhile is met again, and is recognised, but is never missed.
"""

import io
import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

_CHUNK_BYTES = 1 << 18
# A poll reads at most this much of a file at once, so that a burst does not fill the memory.
_POLL_BYTES = 1 << 23
# What has no newline for so long is not a log line: it is passed on in pieces.
_MAX_LINE_BYTES = 1 << 24
# Two rotations may happen while the names are looked through, and one leaves a gap meanwhile.
_SCAN_AHEAD = 3
# A writer that was held up between looking at the path and writing ends up in the renamed file.
_LINGER_SECONDS = 2.0
# Each is an open file. Who rotates more often than this within those seconds has files so small
# that a writer without a processor for a while is passed by; 8 of them were too few.
_MAX_LINGERING_COUNT = 100


def families(folder: Path) -> set[Path]:
    """Return the paths of all log files: `web.log` also where only `web.log.1` is there."""
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return set()
    found = (re.fullmatch(r"([^.].*\.log)(\.\d+)?", name) for name in names)
    return {folder / match[1] for match in found if match}


@dataclass(slots=True, kw_only=True)
class _File:
    """An open file, and how far it has been read."""

    stream: io.FileIO
    identity: tuple[int, int]
    offset: int = 0
    rest: bytearray = field(default_factory=bytearray)
    left_at: float = 0.0

    @property
    def status(self) -> os.stat_result:
        return os.fstat(self.stream.fileno())

    def lines(self, limit_bytes: int | None = None) -> Iterator[bytes]:
        """Yield the complete lines up to the present end, without their newlines."""
        end = None if limit_bytes is None else self.offset + limit_bytes
        while end is None or self.offset < end:
            chunk = self.stream.read(_CHUNK_BYTES)
            if not chunk:
                if self.status.st_size < self.offset:
                    # Emptied in place, as logrotate's copytruncate does.
                    self.offset = self.stream.seek(0)
                    self.rest.clear()
                    continue
                return
            self.offset += len(chunk)
            *lines, last = chunk.split(b"\n")
            if lines:
                lines[0] = bytes(self.rest) + lines[0]
                self.rest.clear()
            self.rest += last
            yield from lines
            if len(self.rest) > _MAX_LINE_BYTES:
                yield self.take_rest()

    def take_rest(self) -> bytes:
        """Return the last line if it has no newline."""
        rest = bytes(self.rest)
        self.rest.clear()
        return rest


class Family:
    """A log file with its backups, as one sequence of lines from the oldest to the youngest."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.has_more = False
        self._current: _File | None = None
        self._lingering: list[_File] = []
        # Identities come again when a file is deleted; together with size and time they do not.
        self._finished: set[tuple[int, int, int, int]] = set()

    @property
    def modified_at(self) -> float:
        """When the file at hand was last written, in seconds since the epoch."""
        return self._current.status.st_mtime if self._current else time.time()

    def past(self, since: datetime | None = None) -> Iterator[bytes]:
        """Yield all complete lines there are; files last written before `since` are passed over."""
        for number, status in self._younger_files():
            if since is not None and status.st_mtime < since.timestamp():
                self._finished.add(_version(status))
                continue
            yield from self._read_next(number, _identity(status))

    def poll(self) -> Iterator[bytes]:
        """Yield the complete lines that were added since `past` or the last poll.

        `has_more` tells whether there may be more right now.
        """
        self.has_more = False
        for file in list(self._lingering):
            yield from file.lines()
            if time.monotonic() - file.left_at > _LINGER_SECONDS:
                yield from self._finish(file)
        if self._current is not None:
            start = self._current.offset
            yield from self._current.lines(_POLL_BYTES)
            if self._current.offset - start >= _POLL_BYTES:
                self.has_more = True
                return
            status = _status(self.path)
            if status is not None and _identity(status) == self._current.identity:
                return
            # Rotated. What was written until then comes before what the younger files have.
            yield from self._current.lines()
        for number, status in self._younger_files():
            yield from self._read_next(number, _identity(status))

    def end(self) -> Iterator[bytes]:
        """Close all files. Yield their last lines where these have no newline, youngest last."""
        for file in list(self._lingering):
            yield from self._finish(file)
        if self._current is not None:
            yield from self._finish(self._current)
            self._current = None

    def close(self) -> None:
        """Close all files."""
        for _ in self.end():
            pass

    def _read_next(self, number: int, identity: tuple[int, int]) -> Iterator[bytes]:
        file = self._open(number, identity)
        if file is None:
            return
        left, self._current = self._current, file
        if left is not None:
            left.left_at = time.monotonic()
            self._lingering.append(left)
            is_old = time.time() - left.status.st_mtime > _LINGER_SECONDS
            if is_old or len(self._lingering) > _MAX_LINGERING_COUNT:
                yield from self._finish(left if is_old else self._lingering[0])
        yield from file.lines()

    def _finish(self, file: _File) -> Iterator[bytes]:
        if file in self._lingering:
            yield from file.lines()
            self._lingering.remove(file)
        self._finished.add(_version(file.status))
        file.stream.close()
        if file.rest:
            yield file.take_rest()

    def _younger_files(self) -> list[tuple[int, os.stat_result]]:
        """List the files that come after the current one, oldest first, with their numbers."""
        found: list[tuple[int, os.stat_result]] = []
        known = {file.identity for file in self._lingering}
        for number in self._numbers(0):
            status = _status(self._name(number))
            if status is None:
                continue
            identity = _identity(status)
            if self._current is not None and identity == self._current.identity:
                break
            if identity not in known and _version(status) not in self._finished:
                found.append((number, status))
            known.add(identity)
        return found[::-1]

    def _open(self, number: int, identity: tuple[int, int]) -> _File | None:
        """Open a file that had this number, or has a higher one by now."""
        for name in self._numbers(number):
            status = _status(self._name(name))
            if status is None or _identity(status) != identity:
                continue
            try:
                stream = io.FileIO(self._name(name))
            except FileNotFoundError:
                continue
            file = _File(stream=stream, identity=identity)
            if _identity(file.status) == identity:
                return file
            stream.close()
        return None  # it was the oldest, and has been dropped

    def _numbers(self, start: int) -> Iterator[int]:
        """Count from `start` on until all files are passed, those too that move on meanwhile."""
        number, end = start, start + _SCAN_AHEAD
        while number < end or number < (end := self._highest_number() + _SCAN_AHEAD):
            yield number
            number += 1

    def _name(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}") if number else self.path

    def _highest_number(self) -> int:
        pattern = re.compile(re.escape(self.path.name) + r"\.(\d{1,6})")
        try:
            names = [path.name for path in self.path.parent.iterdir()]
        except FileNotFoundError:
            return 0
        return max((int(m[1]) for name in names if (m := pattern.fullmatch(name))), default=0)


def _status(path: Path) -> os.stat_result | None:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _identity(status: os.stat_result) -> tuple[int, int]:
    return (status.st_dev, status.st_ino)


def _version(status: os.stat_result) -> tuple[int, int, int, int]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
