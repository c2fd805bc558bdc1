"""One log file, appended to by several processes at once, and rotated without losing a line.

The rules that make this safe, with no process in charge:

* A line, or several together, is one `write` to a file opened with O_APPEND: the kernel puts it at
  the end, whole.
* Before each write the path is looked at. Is it another file by now (somebody rotated, or
  logrotate renamed it), that one is opened. A line that was already on its way ends up at the end
  of the renamed file, which is a backup now, and not lost.
* Who finds the file too large renames it, under a lock on a file beside it, after having looked
  again. Who does not get the lock just writes. Only where the file has twice its size by then, as
  when the one with the lock does not get a processor, it waits: for some milliseconds, not longer.
"""

import errno
import fcntl
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from runtime.logs import forks

_FILE_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
# Reading is enough for flock, and works when another user's process has made the lock file.
_LOCK_FLAGS = os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC
_MODE = 0o644
_ROTATION_RETRY_SECONDS = 5.0
_LOCK_WAIT_COUNT = 10
_LOCK_WAIT_SECONDS = 0.001
_LOCK_RETRY_SECONDS = 0.1


def report_on_stderr(message: str) -> None:
    """Say something about logging itself, where logging cannot."""
    try:
        sys.stderr.write(f"eyas: {message}\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        pass  # stderr is closed or absent: there is nobody left to tell


class FileSink(forks.Forkable):
    """Appends lines to `path`; keeps `backups` older files, `path`.1 being the youngest.

    It never raises for want of disk, permission or folder: it reports that once, counts the lines
    that the file misses, tries again with every write, and reports when the file works again. Then
    the line that `resumed` makes of the count, if given, goes into the file as well.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int,
        backups: int,
        report: Callable[[str], None] = report_on_stderr,
        resumed: Callable[[int], bytes] | None = None,
    ) -> None:
        path = path.absolute()  # the process may change its working directory
        self._folder = path.parent
        self._path = str(path)
        self._lock_path = str(path.parent / f".{path.name}.lock")
        self._max_bytes = max_bytes
        self._backups = backups
        self._report = report
        self._resumed = resumed
        self._fd = -1
        self._identity = (-1, -1)
        self._missed_count = 0
        self._is_torn = False
        self._is_rotating = False
        self._rotation_lock_fd = -1
        self._next_rotation_at = 0.0
        # Reentrant: a signal handler that logs may interrupt a log call of its own thread.
        self._lock = threading.RLock()
        forks.register(self)

    @property
    def path(self) -> str:
        """The absolute path of the file."""
        return self._path

    @property
    def max_bytes(self) -> int:
        """How large the file may become before it is rotated."""
        return self._max_bytes

    def write(self, line: bytes) -> bool:
        """Append `line`, which ends in its only newline. Tell whether the file has it now."""
        return self.write_all((line,)) == 1

    def write_all(self, lines: Sequence[bytes]) -> int:
        """Append lines, each of which ends in its only newline, together.

        Return how many of them the file has now, which are the first ones.
        """
        with self._lock:
            written_count, error = self._append(b"".join(lines))
            if error is not None:
                self._miss(len(lines) - written_count, error)
                return written_count
            if self._missed_count:
                self._resume()
            return len(lines)

    def close(self) -> None:
        """Close the file. A later `write` opens it again."""
        with self._lock:
            fd, self._fd, self._identity = self._fd, -1, (-1, -1)
            if fd >= 0:
                os.close(fd)

    def renew_in_child(self) -> None:
        """Take no lock, and no half-done work of the parent's threads, into a forked child."""
        self._lock = threading.RLock()
        self._is_rotating = False
        self._missed_count = 0
        if self._rotation_lock_fd >= 0:
            # The parent forked while it was rotating. A flock belongs to the open file, which is
            # shared now: the child would hold on to the lock after the parent's death.
            os.close(self._rotation_lock_fd)
            self._rotation_lock_fd = -1

    def _append(self, lines: bytes) -> tuple[int, OSError | None]:
        """Return how many whole lines were appended, and why no more."""
        data, start, written, failure = lines, 0, 0, None
        try:
            fd = self._current(len(lines))
            if self._is_torn:
                data, start = b"\n" + lines, 1
            written = os.write(fd, data)
            while written < len(data):
                # A nearly full disk takes a part. Does the rest fail too, the next line must not
                # be glued to half a line.
                self._is_torn = not data.endswith(b"\n", 0, written)
                more = os.write(fd, data[written:])
                if not more:
                    failure = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    break
                written += more
            self._is_torn = not data.endswith(b"\n", 0, written)
        except OSError as error:
            failure = error
        return data.count(b"\n", start, written), failure

    def _current(self, line_bytes: int) -> int:
        """Return a descriptor of the file that is at the path now."""
        try:
            status = os.stat(self._path)  # noqa: PTH116 - for every line: Path takes twice as long
        except FileNotFoundError:
            return self._open()
        if (status.st_dev, status.st_ino) != self._identity:
            self._open()
        if self._is_too_large(status, line_bytes) and not self._is_rotating:
            return self._rotate(line_bytes, may_wait=status.st_size > 2 * self._max_bytes)
        return self._fd

    def _is_too_large(self, status: os.stat_result, line_bytes: int) -> bool:
        return status.st_size > 0 and status.st_size + line_bytes > self._max_bytes

    def _open(self) -> int:
        try:
            fd = os.open(self._path, _FILE_FLAGS, _MODE)
        except FileNotFoundError:
            self._folder.mkdir(parents=True, exist_ok=True)
            fd = os.open(self._path, _FILE_FLAGS, _MODE)
        status = os.fstat(fd)
        identity = (status.st_dev, status.st_ino)
        old, self._fd = self._fd, fd
        if identity != self._identity:
            self._is_torn = False
        self._identity = identity
        if old >= 0:
            os.close(old)
        return fd

    def _rotate(self, line_bytes: int, *, may_wait: bool) -> int:
        if time.monotonic() < self._next_rotation_at:
            return self._fd
        self._is_rotating = True
        try:
            self._rotation_lock_fd = os.open(self._lock_path, _LOCK_FLAGS, _MODE)
            try:
                self._take_rotation_lock(may_wait=may_wait)
                status = Path(self._path).stat()
                is_same = (status.st_dev, status.st_ino) == self._identity
                if is_same and self._is_too_large(status, line_bytes):
                    self._shift()
                fcntl.flock(self._rotation_lock_fd, fcntl.LOCK_UN)
            finally:
                fd, self._rotation_lock_fd = self._rotation_lock_fd, -1
                os.close(fd)
        except (BlockingIOError, FileNotFoundError):
            # Another process is rotating just now, or has renamed the file this very moment.
            return self._fd
        except OSError as error:
            # The line itself can still be written; only the file grows.
            self._next_rotation_at = time.monotonic() + _ROTATION_RETRY_SECONDS
            self._report(f"cannot rotate {self._path}: {error.strerror or error}. It keeps growing")
            return self._fd
        finally:
            self._is_rotating = False
        return self._open()

    def _take_rotation_lock(self, *, may_wait: bool) -> None:
        for _ in range(_LOCK_WAIT_COUNT if may_wait else 0):
            try:
                fcntl.flock(self._rotation_lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_LOCK_WAIT_SECONDS)
            else:
                return
        if may_wait:
            self._next_rotation_at = time.monotonic() + _LOCK_RETRY_SECONDS
        fcntl.flock(self._rotation_lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _shift(self) -> None:
        # Up to the first free number: the rest need not move, and with many backups allowed and
        # few there, most renames would fail. The oldest is replaced when there is none.
        free = 1
        while free < self._backups and self._backup(free).exists():
            free += 1
        for number in range(free - 1, 0, -1):
            self._backup(number).rename(self._backup(number + 1))
        Path(self._path).rename(self._backup(1))

    def _backup(self, number: int) -> Path:
        return Path(f"{self._path}.{number}")

    def _miss(self, count: int, error: OSError) -> None:
        is_first = not self._missed_count
        self._missed_count += count
        if is_first:
            self._report(
                f"cannot write {self._path}: {error.strerror or error}. "
                "Log lines go only to the console until it works again"
            )

    def _resume(self) -> None:
        count, self._missed_count = self._missed_count, 0
        self._report(f"writing {self._path} again; it misses {count} lines")
        if self._resumed is not None:
            _, error = self._append(self._resumed(count))
            if error is not None:
                self._miss(1, error)
