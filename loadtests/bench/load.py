"""The load generator: N keep-alive connections, each with one request under way at a time.

It runs in this process, on uvloop, at the level of the transport: what a request costs here must be
little beside what it costs the server, as both share one machine.
"""

import asyncio
import contextlib
import os
import time
from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import uvloop

from loadtests.bench import wire

HOST = "127.0.0.1"
_LAST_ANSWERS_SECONDS = 30.0
_TICK_SECONDS = 0.001
_CONNECT_SECONDS = 5.0


class LoadError(Exception):
    """The load could not be measured; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to send to a port of this machine, and for how long.

    With `rate`, requests are due that often per second in all (open loop), and their latency counts
    from when they were due. With `requests`, the load ends after so many.
    """

    port: int
    request: bytes
    connections: int = 32
    seconds: float = 3.0
    warm_up_seconds: float = 0.5
    rate: float | None = None
    requests: int | None = None
    keep_bodies: int = 0


@dataclass(slots=True, kw_only=True)
class Measured:
    """What was answered: in all, and from the end of the warm-up to the end of the time."""

    seconds: float = 0.0
    answers: Counter[int] = field(default_factory=Counter)
    all_answers: Counter[int] = field(default_factory=Counter)
    unanswered: int = 0
    latencies: "array[float]" = field(default_factory=lambda: array("d"))
    bodies: list[bytes] = field(default_factory=list)
    cpu_seconds: float = 0.0

    def rate(self, status: int) -> float:
        """Answers of a status per second. Raises `LoadError` if there were any other."""
        others = {s: n for s, n in self.all_answers.items() if s != status}
        if others or self.unanswered or not self.answers[status]:
            raise LoadError(
                f"{self.answers[status]} answers with status {status}, "
                f"others by status: {others}, requests without an answer: {self.unanswered}"
            )
        return self.answers[status] / self.seconds

    def percentile_ms(self, percent: float) -> float:
        """The latency in ms that `percent` of the answers in time do not exceed."""
        if not self.latencies:
            raise LoadError("no answer in time, so no latency")
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1000


def run(plan: Plan) -> Measured:
    """Send the load and return what came of it."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(send(plan))


async def send(plan: Plan) -> Measured:
    """Send the load from a loop that is running already."""
    return await _Run(plan).measure()


class _Run:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.measured = Measured()
        self.is_over = False
        self.is_counted = plan.warm_up_seconds == 0
        self.connections: list[_Connection] = []
        self._loop = asyncio.get_running_loop()
        self._done = self._loop.create_future()
        self._left = plan.requests
        self._idle: list[_Connection] = []
        self._first_due = 0.0
        self._scheduled = 0
        self._reconnects: set[asyncio.Task[None]] = set()

    async def measure(self) -> Measured:
        plan, measured = self.plan, self.measured
        self.connections = [_Connection(self) for _ in range(plan.connections)]
        await asyncio.gather(*(self._connect(each) for each in self.connections))
        cpu_before, start = time.process_time(), time.perf_counter()
        self._first_due = start
        for connection in self.connections:
            self.ready(connection)
        if plan.rate is not None:
            self._loop.call_soon(self._tick)
        if plan.warm_up_seconds:
            self._loop.call_later(plan.warm_up_seconds, self._count_from_here)
        ends_at = None
        if plan.requests is None:
            ends_at = self._loop.call_later(plan.warm_up_seconds + plan.seconds, self._end)
        try:
            await self._done
            if plan.requests is not None:
                measured.seconds = time.perf_counter() - start
            else:
                measured.seconds = plan.seconds
            measured.cpu_seconds = time.process_time() - cpu_before
            await self._last_answers()
        finally:
            self.is_over = True
            if ends_at:
                ends_at.cancel()
            for task in self._reconnects:
                task.cancel()
            for connection in self.connections:
                connection.close()
        return measured

    def ready(self, connection: "_Connection") -> None:
        """Give a connection without a request its next one, if there is one."""
        if self.is_over:
            return
        if self.plan.rate is not None:
            self._idle.append(connection)
            self._tick_now()
        elif self._left is None:
            connection.send(time.perf_counter())
        elif self._left > 0:
            self._left -= 1
            connection.send(time.perf_counter())

    def answered(self, status: int, latency: float, body: Callable[[], bytes]) -> None:
        measured = self.measured
        measured.all_answers[status] += 1
        if self.is_counted and not self.is_over:
            measured.answers[status] += 1
            measured.latencies.append(latency)
            if len(measured.bodies) < self.plan.keep_bodies:
                measured.bodies.append(body())
        self._end_after_the_last()

    def unanswered(self) -> None:
        self.measured.unanswered += 1
        self._end_after_the_last()

    def failed(self, error: Exception) -> None:
        if not self._done.done():
            self._done.set_exception(LoadError(f"{type(error).__name__}: {error}"))

    def reconnect(self, connection: "_Connection") -> None:
        if self.is_over:
            return
        task = self._loop.create_task(self._again(connection))
        self._reconnects.add(task)
        task.add_done_callback(self._reconnects.discard)

    async def _again(self, connection: "_Connection") -> None:
        try:
            await self._connect(connection)
        except (OSError, TimeoutError) as error:
            self.failed(error)
        else:
            self.ready(connection)

    async def _connect(self, connection: "_Connection") -> None:
        async with asyncio.timeout(_CONNECT_SECONDS):
            await self._loop.create_connection(lambda: connection, HOST, self.plan.port)

    def _end_after_the_last(self) -> None:
        ended = self.measured.all_answers.total() + self.measured.unanswered
        if self.plan.requests is not None and ended >= self.plan.requests:
            self._end()

    def _count_from_here(self) -> None:
        self.is_counted = True

    def _end(self) -> None:
        self.is_over = True
        if not self._done.done():
            self._done.set_result(None)

    async def _last_answers(self) -> None:
        """Wait for what is under way, so that every accepted request is known."""
        waiting = [connection for connection in self.connections if connection.is_waiting]
        for connection in waiting:
            connection.idle.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_ANSWERS_SECONDS):
                for connection in waiting:
                    await connection.idle.wait()
        self.measured.unanswered += sum(1 for c in waiting if c.is_waiting)

    def _tick(self) -> None:
        if not self.is_over:
            self._tick_now()
            self._loop.call_later(_TICK_SECONDS, self._tick)

    def _tick_now(self) -> None:
        rate = self.plan.rate
        now = time.perf_counter()
        while rate and self._idle and (due := self._first_due + self._scheduled / rate) <= now:
            self._scheduled += 1
            self._idle.pop().send(due)


class _Connection(asyncio.Protocol):
    def __init__(self, run_: _Run) -> None:
        self.is_waiting = False
        self.idle = asyncio.Event()
        self._run = run_
        self._request = run_.plan.request
        self._transport: Any = None
        self._descriptor = -1
        self._received = b""
        self._since = 0.0
        self._closes: bool | None = None

    def send(self, since: float) -> None:
        self.is_waiting = True
        self._since = since
        # At once: uvloop writes at the end of its turn, and then the server waits for the turn.
        try:
            written = os.write(self._descriptor, self._request)
        except OSError:
            written = 0  # the transport knows what to do about it
        if written < len(self._request):
            self._transport.write(self._request[written:])

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._descriptor = transport.get_extra_info("socket").fileno()
        self._received = b""
        self._closes = None

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        try:
            answer = wire.parse(received)
        except wire.NotHttpError as error:
            self._run.failed(error)
            return
        if answer is None:
            self._received = received
            return
        self._received = b""
        self.is_waiting = False
        if self._run.is_over:
            self.idle.set()
        latency = time.perf_counter() - self._since
        self._run.answered(answer.status, latency, lambda: received[answer.body_start : answer.end])
        if self._closes is None:  # what the first answer says holds for the others
            self._closes = wire.closes(received, answer)
        if not self._closes:
            self._run.ready(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        if self.is_waiting:
            self.is_waiting = False
            self.idle.set()
            self._run.unanswered()
        self._run.reconnect(self)
