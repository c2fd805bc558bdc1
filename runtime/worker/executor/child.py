"""A worker's view of one executor: a forked process, and the two sockets between them."""

import contextlib
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from runtime.parent import end_with_parent
from runtime.worker.executor import serial, shared
from runtime.worker.executor.job import (
    LARGEST_ORDER_BYTES,
    Answer,
    AnswerReader,
    GarbledError,
    Job,
    Order,
    Stop,
    decode_order,
    encode_order,
    encode_taken,
)
from runtime.worker.executor.work import Work

T = TypeVar("T")

_READ_BYTES = 262_144
# Keeps messages apart, and tells when the other side has gone; macOS has only the former.
_APART = getattr(socket, "SOCK_SEQPACKET", socket.SOCK_DGRAM)
if sys.platform == "darwin":
    _APART = socket.SOCK_DGRAM
_BUFFER_BYTES = 1_048_576


@dataclass(slots=True, kw_only=True, eq=False)
class Executor(Generic[T]):
    """One process. `handed` holds what it was given and has not answered, by the job's number.

    What a T is, is the worker's business. `heard_at` is when it answered last, `unproven_since`
    since when it has something to do and was not seen doing it, and `load_seconds` how long it will
    probably take for all that it was given.
    """

    pid: int
    is_shared: bool
    orders: socket.socket
    untaken: socket.socket
    answers: socket.socket
    handed: dict[int, T] = field(default_factory=dict)
    heard_at: float = field(default_factory=time.monotonic)
    unproven_since: float | None = None
    load_seconds: float = 0.0
    is_dead: bool = False
    is_killed: bool = False
    _is_reaped: bool = False
    _last: int = 0
    _reader: AnswerReader = field(default_factory=AnswerReader)

    @classmethod
    def fork(
        cls,
        work: Work,
        *,
        is_shared: bool,
        others: "Iterable[Executor[T]]",
    ) -> "Executor[T]":
        """Start a process. It holds no socket of the others."""
        jobs, orders = socket.socketpair(socket.AF_UNIX, _APART)
        answers, told = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        orders.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        told.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _be_executor(
                lambda: (shared if is_shared else serial).run(jobs, told, work),
                parent=parent,
                close=(orders, answers, *(one for other in others for one in other.sockets)),
            )
        told.close()
        orders.setblocking(False)  # noqa: FBT003  the standard library's
        answers.setblocking(False)  # noqa: FBT003  as above
        return cls(pid=pid, is_shared=is_shared, orders=orders, untaken=jobs, answers=answers)

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        return self.orders, self.untaken, self.answers

    def hand(self, job: Job, one: T) -> bool:
        """Give it a job; False if it has no room for it now."""
        if not self._order(job):
            return False
        self.handed[job.number] = one
        self._last = job.number
        if self.unproven_since is None:
            self.unproven_since = time.monotonic()
        return True

    def stop(self, number: int) -> None:
        """Ask a shared executor to stop an attempt."""
        self._order(Stop(number, self._last))

    def say_taken(self, number: int) -> None:
        """Tell it that the broker has what it has said of what an attempt yields."""
        with contextlib.suppress(OSError):  # it has died meanwhile
            self.answers.send(encode_taken(number))

    def read(self) -> list[Answer]:
        """Return what it has said since; `is_dead` tells whether it will say anything more."""
        answers: list[Answer] = []
        while True:
            try:
                received = self.answers.recv(_READ_BYTES)
            except BlockingIOError:
                break
            except ConnectionError:
                received = b""
            if not received:
                self.is_dead = True
                break
            try:
                answers += self._reader.feed(received)
            except GarbledError as error:
                # What it says from now on means nothing.
                structlog.get_logger("worker").error("executor.garbled", reason=str(error))
                self.is_dead = True
                break
            if len(received) < _READ_BYTES:
                break
        return answers

    def take_back(self, *, but: int = 0) -> list[T]:
        """Return, in order, what it was given and has not begun to look at; not the job `but`."""
        taken: list[T] = []
        left: list[bytes] = []
        while message := self._untaken_message():
            order = decode_order(message)
            if isinstance(order, Stop) or order.number == but:
                left.append(message)
            elif order.number in self.handed:
                taken.append(self.handed.pop(order.number))
        for message in left:
            # It has just made room, or is dead.
            with contextlib.suppress(BlockingIOError, ConnectionError):
                self.orders.send(message)
        return taken

    def begun_up_to(self) -> float:
        """Return the number up to which it has looked at all jobs that it was given.

        With much else to do, the system may let a process wait for longer than a job takes.
        """
        message = self._untaken_message(socket.MSG_PEEK)
        if not message:
            return float("inf")
        order = decode_order(message)
        return order.last if isinstance(order, Stop) else order.number - 1

    def _untaken_message(self, flags: int = 0) -> bytes:
        try:
            return self.untaken.recv(LARGEST_ORDER_BYTES, socket.MSG_DONTWAIT | flags)
        except (BlockingIOError, ConnectionError):
            return b""

    def has_exited(self) -> bool:
        """Tell whether the process has ended, even if a child of it still holds its sockets."""
        if not self.is_dead:
            with contextlib.suppress(ChildProcessError):
                self.is_dead = self._is_reaped = os.waitpid(self.pid, os.WNOHANG)[0] == self.pid
        return self.is_dead

    def kill(self) -> None:
        """End the process at once; what it had said before can still be read."""
        self.is_killed = True
        if self._is_reaped:
            return  # its number may be another's by now
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        self._is_reaped = True

    def close(self) -> None:
        """End the process, if it has not ended, and hang up."""
        self.kill()
        for one in self.sockets:
            one.close()

    def _order(self, order: Order) -> bool:
        try:
            self.orders.send(encode_order(order))
        except (BlockingIOError, ConnectionError):
            return False
        except OSError as error:
            # ENOBUFS on macOS, whose sockets say so.
            structlog.get_logger("worker").debug("executor.full", reason=str(error))
            return False
        return True


def _be_executor(
    run: Callable[[], None],
    *,
    parent: int,
    close: tuple[socket.socket, ...],
) -> None:
    """Run in the forked process until its worker hangs up or dies; never return."""
    code = 1
    try:
        for one in close:
            one.close()
        _settle_signals()
        end_with_parent(signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(0)  # it died before the line above
        with contextlib.suppress(OSError):  # only Linux has it
            Path("/proc/self/comm").write_text("eyas-executor", encoding="ascii")
        gc.freeze()  # what was there before is looked at no more, and stays shared
        run()
        code = 0
    except BaseException:  # noqa: BLE001  the last frame of this process
        structlog.get_logger("worker").exception("executor.failed")
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(code)


def _settle_signals() -> None:
    # honcho and a terminal signal whole groups. A handler is stopped by its worker, when that has
    # decided what becomes of the attempt.
    os.setpgid(0, 0)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (
        signal.SIGTERM,
        signal.SIGQUIT,
        signal.SIGHUP,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGCHLD,
        signal.SIGALRM,
    ):
        signal.signal(number, signal.SIG_DFL)
