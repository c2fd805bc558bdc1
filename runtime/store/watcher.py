"""Learning of status changes by the broker's push: any number of waiters, one connection.

Pub/sub does not repeat itself: what was published before the broker took the subscription is
missed. So a waiter has to read the record once the subscription is in force, unless it knows that
it was in force before there was anything to miss. After a lost connection every waiter is told to
read again.

Who listens to all invocations cannot read what was missed: it is told that something may have been.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any, TypeVar, cast

import structlog
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import RedisError

from runtime.invocation import Status
from runtime.store import keys
from runtime.store.channels import Hears, InvocationChannel, Listener, StatusChannel, Watch
from runtime.store.client import Pool
from runtime.store.link import Subscription

_log = structlog.get_logger(__name__)

_CONNECT_SECONDS = 1.0
_PING_SECONDS = 5.0
_SILENCE_SECONDS = 12.0
_RECONNECT_SECONDS = 0.2
# Keeps the connection subscribed, and so readable, while nobody waits.
_IDLE_CHANNEL = "eyas:watcher"

_C = TypeVar("_C", InvocationChannel, StatusChannel)


class Watcher:
    """Tells waiters when an invocation may have changed, and listeners of all changes."""

    def __init__(self, url: str) -> None:
        # Of redis-py's pool only the making of connections is used.
        self._pool = Pool.of(url, reply_seconds=None, connections=1)
        self._channels: dict[str, InvocationChannel | StatusChannel] = {}
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
    def watch(self, invocation_id: str, *, hears: Hears = Hears.ENDS) -> Iterator[Watch]:
        """Watch an invocation. On entry the subscription is on its way, and not confirmed yet."""
        name = keys.invocation(invocation_id)
        channel = self._enter(name, lambda: InvocationChannel(invocation_id))
        watch = Watch(channel, hears=hears)
        channel.waiting.add(watch)
        try:
            yield watch
        finally:
            channel.waiting.discard(watch)
            self._leave(name, channel)

    @contextlib.contextmanager
    def listen(
        self, statuses: Collection[Status], *, function: str | None = None
    ) -> Iterator[Listener]:
        """Listen to all invocations, or those of a function, that get one of these statuses.

        On entry the subscriptions are on their way.
        """
        listener = Listener(function=function)
        entered: dict[str, StatusChannel] = {}
        try:
            for status in statuses:
                name = keys.changes(status)
                entered[name] = channel = self._enter(name, partial(StatusChannel, status))
                channel.add(listener)
            yield listener
        finally:
            for name, channel in entered.items():
                channel.waiting.discard(listener)
                self._leave(name, channel)

    def _enter(self, name: str, make: Callable[[], _C]) -> _C:
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = make()
            if self._subscription is not None:  # else it subscribes to everything when connected
                self._subscribe(self._subscription, name)
        return cast("_C", channel)  # names of different kinds differ

    def _leave(self, name: str, channel: InvocationChannel | StatusChannel) -> None:
        if not channel.waiting and self._channels.get(name) is channel:
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
