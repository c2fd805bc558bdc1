"""Learning of a status change by the broker's push: any number of waiters, one connection.

Pub/sub does not repeat itself: what was published before the broker took the subscription is
missed. So a waiter has to read the record once the subscription is in force, unless it knows that
it was in force before there was anything to miss. After a lost connection every waiter is told to
read again.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import redis.asyncio
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from runtime.invocation import TERMINAL
from runtime.store import keys

_log = structlog.get_logger(__name__)

_PING_SECONDS = 5.0
_SILENCE_SECONDS = 12.0
_RECONNECT_SECONDS = 0.2
# Keeps the connection subscribed, and so readable, while nobody waits.
_IDLE_CHANNEL = "eyas:watcher"


class Watch:
    """One waiter. `changed` is set whenever the record is worth reading again."""

    def __init__(self, channel: "_Channel") -> None:
        self.changed = asyncio.Event()
        self._channel = channel
        self.reads_first = False

    def read_first(self) -> None:
        """Set `changed` once the subscription is in force: something may have been missed."""
        self.reads_first = True
        if self._channel.is_subscribed:
            self.changed.set()


@dataclass(slots=True, eq=False)
class _Channel:
    is_subscribed: bool = False
    was_lost: bool = False
    watches: set[Watch] = field(default_factory=set)

    def wake(self) -> None:
        for watch in self.watches:
            watch.changed.set()

    def confirm(self) -> None:
        """Take note that the subscription is in force."""
        self.is_subscribed = True
        for watch in self.watches:
            if watch.reads_first or self.was_lost:
                watch.changed.set()

    def lose(self) -> None:
        """Take note that it is not in force any more, though the broker may have had it."""
        self.is_subscribed = False
        self.was_lost = True


class Watcher:
    """Tells waiters when an invocation may have reached a terminal status."""

    def __init__(self, url: str) -> None:
        self._client = redis.asyncio.Redis.from_url(
            url, socket_connect_timeout=0.5, socket_timeout=None, retry=Retry(NoBackoff(), 0)
        )
        self._channels: dict[str, _Channel] = {}
        self._unconfirmed: Counter[str] = Counter()
        self._pubsub: Any = None
        self._task: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._heard_at = 0.0

    def start(self) -> None:
        """Connect, and stay connected; needs a running event loop."""
        self._task = asyncio.create_task(self._listen_for_ever(), name="watcher")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._client.aclose()

    @contextlib.asynccontextmanager
    async def watch(self, invocation_id: str) -> AsyncIterator[Watch]:
        """Watch an invocation. On entry the subscription is on its way, and not confirmed yet."""
        name = keys.invocation(invocation_id)
        channel = self._channels.get(name)
        is_new = channel is None
        if channel is None:
            channel = self._channels[name] = _Channel()
        watch = Watch(channel)
        channel.watches.add(watch)
        try:
            if is_new:
                await self._send_subscribe(name)
            yield watch
        finally:
            channel.watches.discard(watch)
            if not channel.watches and self._channels.get(name) is channel:
                del self._channels[name]
                # The answer need not wait for it.
                leaving = asyncio.create_task(self._send_unsubscribe(name))
                self._leaving.add(leaving)
                leaving.add_done_callback(self._leaving.discard)

    async def _send_subscribe(self, name: str) -> None:
        if self._pubsub is None:
            return  # the listener subscribes to everything when it is connected
        self._unconfirmed[name] += 1
        with contextlib.suppress(RedisError, OSError):  # the listener notices, and reconnects
            await self._pubsub.subscribe(name)

    async def _send_unsubscribe(self, name: str) -> None:
        if self._pubsub is None or name in self._channels:  # entered again
            return
        with contextlib.suppress(RedisError, OSError):
            await self._pubsub.unsubscribe(name)

    async def _listen_for_ever(self) -> None:
        is_lost = False
        while True:
            try:
                async with self._client.pubsub() as pubsub:
                    names = [_IDLE_CHANNEL, *self._channels]
                    self._unconfirmed = Counter(names)
                    await pubsub.subscribe(*names)
                    # Waiters that came while subscribing are not in `names`.
                    self._pubsub = pubsub
                    for name in self._channels.keys() - set(names):
                        await self._send_subscribe(name)
                    if is_lost:
                        _log.info("watcher.reconnected", waiters=len(self._channels))
                        is_lost = False
                    await self._listen(pubsub)
            except (RedisError, OSError) as error:
                if not is_lost:
                    _log.warning("watcher.lost", reason=str(error) or type(error).__name__)
                is_lost = True
            finally:
                self._pubsub = None
                for channel in self._channels.values():
                    channel.lose()
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _listen(self, pubsub: Any) -> None:
        self._heard_at = time.monotonic()
        while True:
            message = await pubsub.get_message(timeout=_PING_SECONDS)
            if message is not None:
                self._heard_at = time.monotonic()
                self._take(message)
            elif time.monotonic() - self._heard_at > _SILENCE_SECONDS:
                raise redis.ConnectionError("the broker has been silent for too long")
            else:
                await pubsub.ping()

    def _take(self, message: dict[str, Any]) -> None:
        name = (message["channel"] or b"").decode()
        if message["type"] == "subscribe":
            # A channel can be left and entered again before the first confirmation comes; only
            # the last confirmation says that the subscription is in force.
            self._unconfirmed[name] -= 1
            if self._unconfirmed[name] > 0:
                return
            del self._unconfirmed[name]
            if (channel := self._channels.get(name)) is not None:
                channel.confirm()
        elif (
            message["type"] == "message"
            and message["data"].decode() in TERMINAL
            and (channel := self._channels.get(name)) is not None
        ):
            channel.wake()
