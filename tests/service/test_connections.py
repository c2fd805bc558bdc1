"""Connections to the broker that died while nobody used them: no request may be refused for one."""

import asyncio
import contextlib
import os
import signal
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from runtime.errors import BrokerUnavailableError
from runtime.store import AsyncStore, Store, is_reachable
from runtime.store.step import Step
from runtime.testing import Stack
from runtime.testing.stack import Response

SAMPLE_FUNCTIONS = Path(__file__).parent.parent / "sample_functions"
PING = Step(arguments=("PING",), parse=bool)
COUNT = Step(arguments=("INCR", "count"), parse=int)
# Takes long enough that steps which are started together need a connection each.
SLOW = Step(arguments=("BLPOP", "nothing", "0.1"), parse=lambda _: True)
CONNECTIONS = 10


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack(functions_dir=SAMPLE_FUNCTIONS, processes=("broker", "web")) as stack:
        stack.wait_for(lambda: is_reachable(stack.redis_url), "the broker")
        stack.wait_for(lambda: accept(stack).status == 202, "web")
        yield stack


def accept(stack: Stack) -> Response:
    return stack.request("/functions/sleep", body=b'{"seconds": 0}')


def accept_together(stack: Stack, count: int) -> Counter[int]:
    """Send POSTs while the broker takes no writes, so that all wait for it; count the statuses."""
    with redis.Redis.from_url(stack.redis_url) as admin, ThreadPoolExecutor(count) as pool:
        admin.client_pause(400, all=False)  # writes only: it connects and reads
        return Counter(answer.status for answer in pool.map(accept, [stack] * count))


def read_together(stack: Stack, path: str, count: int) -> Counter[int]:
    """Send GETs so that each needs its own connection to the broker; count the statuses."""
    with redis.Redis.from_url(stack.redis_url) as admin, ThreadPoolExecutor(count) as pool:
        admin.client_pause(400, all=True)
        return Counter(answer.status for answer in pool.map(stack.request, [path] * count))


def restart_broker(stack: Stack) -> None:
    with redis.Redis.from_url(stack.redis_url) as admin:
        pid = admin.info("server")["process_id"]
    os.kill(pid, signal.SIGKILL)
    stack.running.pop("broker").wait(10)
    stack.start("broker")
    stack.wait_for(lambda: is_reachable(stack.redis_url), "the broker")


def kill_clients(stack: Stack) -> None:
    with redis.Redis.from_url(stack.redis_url) as admin:
        assert admin.client_kill_filter(_type="normal", skipme=True) >= 32


@pytest.mark.parametrize("cut", [restart_broker, kill_clients])
@pytest.mark.parametrize("is_reading", [False, True])
def test_once_one_request_is_served_all_are(
    stack: Stack, cut: Callable[[Stack], None], *, is_reading: bool
) -> None:
    path = f"/invocations/{accept(stack).body['id']}"
    assert accept_together(stack, 50) == {202: 50}
    assert read_together(stack, path, 50) == {200: 50}
    with redis.Redis.from_url(stack.redis_url) as admin:
        assert len(admin.client_list(_type="normal")) >= 32

    cut(stack)
    stack.wait_for(lambda: accept(stack).status == 202, "web to recover")

    if is_reading:
        with ThreadPoolExecutor(50) as pool:
            together = Counter(a.status for a in pool.map(stack.request, [path] * 100))
        assert together == {200: 100}
        assert Counter(stack.request(path).status for _ in range(100)) == {200: 100}
    else:
        assert accept_together(stack, 50) + accept_together(stack, 50) == {202: 100}
        assert Counter(accept(stack).status for _ in range(100)) == {202: 100}


def test_the_blocking_client_does_not_use_a_dead_connection(web_stack: Stack) -> None:
    store = Store(web_stack.redis_url)
    with contextlib.closing(store), redis.Redis.from_url(web_stack.redis_url) as admin:
        for _ in range(3):
            assert store.run(PING)
            admin.client_kill_filter(_type="normal", skipme=True)


@dataclass(kw_only=True)
class Relay:
    """A network between a client and the broker, which can fail."""

    upstream: tuple[str, int]
    port: int = 0
    loses_answers: bool = False
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)
    _lost: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def reset_all(self) -> None:
        for writer in self._writers:
            _reset(writer)
        self._writers.clear()

    def forget_all(self) -> None:
        """From now on nothing passes on what is open, and neither side is told."""
        self._lost.update(self._writers)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        upstream_reader, upstream_writer = await asyncio.open_connection(*self.upstream)
        await asyncio.gather(
            self._pass(reader, upstream_writer, writer),
            self._pass(upstream_reader, writer, writer, are_answers=True),
        )

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        client: asyncio.StreamWriter,
        *,
        are_answers: bool = False,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if are_answers and self.loses_answers:
                    _reset(client)
                    break
                if client not in self._lost:
                    writer.write(data)
        writer.close()


@contextlib.asynccontextmanager
async def relayed(stack: Stack, **options: float) -> AsyncIterator[tuple[Relay, AsyncStore]]:
    """Give a relay, and a store behind it with idle connections."""
    broker = urlsplit(stack.redis_url)
    relay = Relay(upstream=(broker.hostname or "", broker.port or 0))
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    store = AsyncStore(relay.url, **options)  # type: ignore[arg-type]
    try:
        await together(store, SLOW)
        yield relay, store
    finally:
        await store.close()
        server.close()
        relay.reset_all()


async def together(store: AsyncStore, step: Step[bool]) -> None:
    assert all(await asyncio.gather(*(store.run(step) for _ in range(CONNECTIONS))))


def test_idle_connections_that_were_reset_are_replaced(web_stack: Stack) -> None:
    async def check() -> None:
        async with relayed(web_stack) as (relay, store):
            relay.reset_all()
            await asyncio.sleep(0.1)
            await together(store, SLOW)

    asyncio.run(check())


def test_one_lost_connection_tells_of_all_that_are_idle(web_stack: Stack) -> None:
    async def check() -> None:
        async with relayed(web_stack, reply_seconds=0.4) as (relay, store):
            relay.forget_all()
            with pytest.raises(BrokerUnavailableError, match="Timeout"):
                await store.run(PING)
            await together(store, SLOW)

    asyncio.run(check())


def test_a_step_whose_answer_is_lost_is_not_sent_again(web_stack: Stack) -> None:
    async def check() -> None:
        async with relayed(web_stack) as (relay, store):
            assert await store.run(COUNT) == 1
            relay.loses_answers = True
            with pytest.raises(BrokerUnavailableError):
                await store.run(COUNT)
            relay.loses_answers = False
            assert await store.run(COUNT) == 3

    asyncio.run(check())


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection so that the other side sees a reset, not an end of file."""
    opened: socket.socket = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
