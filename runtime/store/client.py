"""The two clients that carry out steps: one blocks, one awaits. Nothing else speaks to the broker.

redis-py's defaults do not suit a server that must answer: it would retry ten times with growing
pauses and wait five seconds for each reply. Here a step is tried once, within given seconds, and
every way in which the broker cannot serve becomes `BrokerUnavailableError`.
"""

import contextlib
import functools
import time
from collections.abc import Iterator
from typing import Self, TypeVar

import redis
import redis.asyncio
import structlog
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import (
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from runtime.errors import BrokerUnavailableError, BrokerUnsupportedError
from runtime.store.step import Step

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_OLDEST = 7
_CONNECT_SECONDS = 0.5
_PAUSE_SECONDS = 0.3
# With them, which is redis-py's default, its pools hand out a connection that the broker has closed
# and that would fail at its next use: they do not tell its end from a notification.
_NO_NOTIFICATIONS = MaintNotificationsConfig(enabled=False)
# Errors of a server that is up but cannot serve: full, read-only, loading, unable to write its
# append-only file, or replaced by one that wants a password.
_UNABLE = ("OOM", "READONLY", "LOADING", "MISCONF", "NOAUTH", "WRONGPASS", "NOPERM", "BUSY ")
# redis-py makes classes of some, and cuts the word off.
_UNABLE_ERRORS = (OutOfMemoryError, ReadOnlyError)


class Store:
    """Carries out steps and waits for each answer. For workers and the command line."""

    def __init__(self, url: str, *, reply_seconds: float = 5.0) -> None:
        self._client = redis.Redis.from_url(
            url,
            socket_connect_timeout=_CONNECT_SECONDS,
            socket_timeout=reply_seconds,
            retry=Retry(NoBackoff(), 0),
            maint_notifications_config=_NO_NOTIFICATIONS,
        )
        # By its digest, and by its text when the broker does not know it.
        self._script = functools.cache(self._client.register_script)

    def run(self, step: Step[T]) -> T:
        """Carry out one step. Raises `BrokerUnavailableError`."""
        with translated():
            if step.script is None:
                reply = self._client.execute_command(*step.arguments)  # type: ignore[no-untyped-call]
            else:
                reply = self._script(step.script)(keys=step.keys, args=step.arguments)
            return step.parse(reply)

    def insist(self, step: Step[T]) -> T:
        """Carry out a step, waiting as long as the broker is unavailable.

        A step that was carried out just before the connection broke is carried out again: use it
        for those that may be.
        """
        is_waiting = False
        while True:
            try:
                answer = self.run(step)
            except BrokerUnavailableError as error:
                if not is_waiting:
                    _log.warning("store.waiting", reason=str(error))
                is_waiting = True
                time.sleep(_PAUSE_SECONDS)
            else:
                if is_waiting:
                    _log.info("store.recovered")
                return answer

    def close(self) -> None:
        self._client.close()


class AsyncStore:
    """Carries out steps for many requests at a time. For web."""

    def __init__(self, url: str, *, reply_seconds: float = 1.0, connections: int = 64) -> None:
        self._pool = Pool.of(url, reply_seconds=reply_seconds, connections=connections)
        self._client = redis.asyncio.Redis.from_pool(self._pool)
        self._script = functools.cache(self._client.register_script)

    async def run(self, step: Step[T]) -> T:
        """Carry out one step. Raises `BrokerUnavailableError`."""
        with translated():
            try:
                if step.script is None:
                    reply = await self._client.execute_command(*step.arguments)  # type: ignore[no-untyped-call]
                else:
                    reply = await self._script(step.script)(keys=step.keys, args=step.arguments)
            except (redis.ConnectionError, redis.TimeoutError):
                self._pool.distrust_idle()
                raise
            return step.parse(reply)

    async def close(self) -> None:
        await self._client.aclose()


class Pool(redis.asyncio.BlockingConnectionPool):
    """Replaces a connection that died while it was idle, instead of sending a step on it.

    A step that may have been sent is never sent again: the broker may have carried it out.
    """

    @classmethod
    def of(cls, url: str, *, reply_seconds: float | None, connections: int) -> Self:
        """Make a pool; without `reply_seconds`, whoever uses it limits the time itself."""
        return cls.from_url(
            url,
            max_connections=connections,
            timeout=_CONNECT_SECONDS,
            socket_connect_timeout=_CONNECT_SECONDS,
            socket_timeout=reply_seconds,
            retry=AsyncRetry(NoBackoff(), 0),
            maint_notifications_config=_NO_NOTIFICATIONS,
        )

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        reader = connection._reader  # noqa: SLF001  there is no public way to ask
        # redis-py sees the end of a connection, but not a reset.
        is_reset = reader is not None and reader.exception() is not None
        if is_reset or connection.should_reconnect():  # type: ignore[no-untyped-call]
            await connection.disconnect(nowait=True)
        await super().ensure_connection(connection)

    def distrust_idle(self) -> None:
        """Replace each connection that is idle now before it is used again.

        One has failed, and a network may lose all of them without telling us.
        """
        for connection in self._available_connections:
            connection.mark_for_reconnect()  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Raise `BrokerUnavailableError` for every way in which the broker cannot serve."""
    try:
        yield
    except ResponseError as error:
        if not isinstance(error, _UNABLE_ERRORS) and not any(w in str(error) for w in _UNABLE):
            raise
        raise BrokerUnavailableError(f"the broker cannot serve: {_word(error)}{error}") from error
    except (RedisError, OSError) as error:
        reason = str(error) or type(error).__name__
        raise BrokerUnavailableError(f"the broker does not answer: {reason}") from error


def _word(error: ResponseError) -> str:
    match error:
        case OutOfMemoryError():
            return "OOM: "
        case ReadOnlyError():
            return "READONLY: "
        case _:
            return ""


def is_unknown_script(error: Exception) -> bool:
    """Tell whether the broker was asked for a script by a name that it has not heard of yet."""
    return isinstance(error, NoScriptError)


def check_server(url: str) -> None:
    """Raise `BrokerUnsupportedError` if the broker is too old for our scripts' flags.

    Valkey calls itself Redis 7.2 in this place. Raises `BrokerUnavailableError`.
    """
    store = Store(url, reply_seconds=1.0)
    try:
        version = store.run(Step(arguments=("INFO", "server"), parse=lambda info: info)).get(
            "redis_version", "?"
        )
    finally:
        store.close()
    if not version.partition(".")[0].isdigit() or int(version.partition(".")[0]) < _OLDEST:
        raise BrokerUnsupportedError(
            f"the broker is Redis {version}: Redis {_OLDEST}, Valkey 7.2 or newer is needed"
        )


def is_listening(url: str) -> bool:
    """Tell whether anything takes connections at the broker's address, though it may hang."""
    pool = redis.ConnectionPool.from_url(url, socket_connect_timeout=_CONNECT_SECONDS)
    try:
        # Only that: redis-py's public way of connecting also waits for answers.
        pool.make_connection()._connect().close()  # type: ignore[attr-defined]  # noqa: SLF001
    except TimeoutError:
        return True
    except OSError:
        return False
    return True


def is_reachable(url: str) -> bool:
    """Tell whether the broker answers now."""
    store = Store(url, reply_seconds=1.0)
    try:
        store.run(Step(arguments=("PING",), parse=bool))
    except BrokerUnavailableError:
        return False
    finally:
        store.close()
    return True
