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
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import structlog
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import RedisError

from runtime.invocation import TERMINAL, Record
from runtime.store import keys, records
from runtime.store.chunks import YIELDED
from runtime.store.client import Pool
from runtime.store.link import Subscription

_log = structlog.get_logger(__name__)

_CONNECT_SECONDS = 1.0
_PING_SECONDS = 5.0
_SILENCE_SECONDS = 12.0
_RECONNECT_SECONDS = 0.2
# Keeps the connection subscribed, and so readable, while nobody waits.
_IDLE_CHANNEL = "eyas:watcher"


class Watch:
    """One waiter. `changed` is set whenever the record is worth reading again: at the end.

    With `follows`, also at each change of the status, and when there are chunks.

    `record` is the terminal one, if that came with the news: there is nothing left to read.
    """

    def __init__(self, channel: "_Channel", *, follows: bool) -> None:
        self.follows = follows
        self.changed = asyncio.Event()
        self.record: Record | None = None
        self._channel = channel
        self.reads_first = False

    def read_first(self) -> None:
        """Set `changed` once the subscription is in force: something may have been missed."""
        self.reads_first = True
        if self._channel.is_subscribed:
            self.changed.set()


@dataclass(slots=True, eq=False)
class _Channel:
    invocation_id: str
    is_subscribed: bool = False
    was_lost: bool = False
    watches: set[Watch] = field(default_factory=set)

    def tell(self, news: bytes) -> None:
        """Wake the waiters if the invocation has ended, and those that follow it at any news."""
        status, record = None, None
        # What is not ours, or is not to be read like this, may mean anything.
        with contextlib.suppress(ValueError):
            status, record = records.read_news(self.invocation_id, news)
        is_on_the_way = news == YIELDED or (status is not None and status not in TERMINAL)
        for watch in self.watches:
            if watch.follows or not is_on_the_way:
                watch.record = record
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
        # Of redis-py's pool only the making of connections is used.
        self._pool = Pool.of(url, reply_seconds=None, connections=1)
        self._channels: dict[str, _Channel] = {}
        self._unconfirmed: Counter[str] = Counter()
        self._subscription: Subscription | None = None
        self._task: asyncio.Task[None] | None = None
        self._heard_at = 0.0

    def start(self) -> None:
        """Connect, and stay connected; needs a running event loop."""
        self._task = asyncio.create_task(self._listen_for_ever(), name="watcher")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._pool.aclose()

    @contextlib.contextmanager
    def watch(self, invocation_id: str, *, follows: bool = False) -> Iterator[Watch]:
        """Watch an invocation. On entry the subscription is on its way, and not confirmed yet.

        With `follows` the waiter hears of everything, else of the end only.
        """
        name = keys.invocation(invocation_id)
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = _Channel(invocation_id)
            if self._subscription is not None:  # else it subscribes to everything when connected
                self._subscribe(self._subscription, name)
        watch = Watch(channel, follows=follows)
        channel.watches.add(watch)
        try:
            yield watch
        finally:
            channel.watches.discard(watch)
            if not channel.watches and self._channels.get(name) is channel:
                del self._channels[name]
                if self._subscription is not None:
                    self._subscription.unsubscribe(name)

    def _subscribe(self, subscription: Subscription, *names: str) -> None:
        self._unconfirmed.update(names)
        subscription.subscribe(*names)

    async def _listen_for_ever(self) -> None:
        is_lost = False
        while True:
            subscription = None
            try:
                subscription = await self._connect()
                if is_lost:
                    _log.info("watcher.reconnected", waiters=len(self._channels))
                    is_lost = False
                await self._listen(subscription)
            except (RedisError, OSError) as error:
                if not is_lost:
                    _log.warning("watcher.lost", reason=str(error) or type(error).__name__)
                is_lost = True
            finally:
                self._subscription = None
                if subscription is not None:
                    subscription.close()
                    await subscription.wait_closed()
                for channel in self._channels.values():
                    channel.lose()
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _connect(self) -> Subscription:
        async with asyncio.timeout(_CONNECT_SECONDS):
            connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
            subscription = await Subscription.open(connection)
        subscription.take = self._take
        self._unconfirmed.clear()
        self._subscribe(subscription, _IDLE_CHANNEL, *self._channels)
        self._subscription = subscription
        return subscription

    async def _listen(self, subscription: Subscription) -> None:
        """Raise why the connection was lost."""
        self._heard_at = time.monotonic()
        while True:
            error = await subscription.ended(seconds=_PING_SECONDS)
            if error is not None:
                raise error
            if time.monotonic() - self._heard_at > _SILENCE_SECONDS:
                raise LostError("the broker has been silent for too long")
            subscription.ping()

    def _take(self, reply: Any) -> None:
        self._heard_at = time.monotonic()
        match reply:
            case [b"subscribe", bytes(name), _]:
                self._confirm(name.decode())
            case [b"message", bytes(name), bytes(news)]:
                channel = self._channels.get(name.decode())
                if channel is not None:
                    channel.tell(news)

    def _confirm(self, name: str) -> None:
        # A channel can be left and entered again before the first confirmation comes; only the
        # last confirmation says that the subscription is in force.
        self._unconfirmed[name] -= 1
        if self._unconfirmed[name] > 0:
            return
        del self._unconfirmed[name]
        if (channel := self._channels.get(name)) is not None:
            channel.confirm()
