"""What is handed over to a worker: claimed for it, while it has nothing to do, as it is accepted.

docs/decisions/0024-handover.md says why.
"""

import select
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any

import hiredis
import msgspec

from runtime.errors import BrokerUnavailableError
from runtime.store import keys
from runtime.store.claims import LEASE_SECONDS, Claim, Ticket
from runtime.store.client import connection_pool, translated

_MOST_BYTES = 65_536
_NOTHING_YET = (BlockingIOError, ssl.SSLWantReadError)


class Handover:
    """Listens, while it is open. Only then, and while the worker holds nothing, something comes.

    `on_open` and `on_close` are told the number of the socket to listen to. What was handed over
    and not received when it is closed is claimed nevertheless: the worker has to give it back.
    Without `is_traced`, it is not told to which trace an invocation belongs.

    redis-py opens the connection. Its way of reading one would ask the system ten times for each
    message.
    """

    def __init__(
        self,
        url: str,
        *,
        worker: str,
        on_open: Callable[[int], None],
        on_close: Callable[[int], None],
        is_traced: bool = False,
        reply_seconds: float = 2.0,
    ) -> None:
        self._pool = connection_pool(url, reply_seconds=reply_seconds)
        self._worker = worker
        self._on_open = on_open
        self._on_close = on_close
        self._is_traced = is_traced
        self._reply_seconds = reply_seconds
        self._connection: Any = None
        self._socket: Any = None
        self._reader = hiredis.Reader()
        self._asked_at: float | None = None
        self._confirmed = b""

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    def open(self) -> None:
        """Begin to listen; return when the broker has heard. Raises `BrokerUnavailableError`."""
        with translated():
            connection: Any = self._pool.make_connection()
            connection.connect()
            connection.send_command("SUBSCRIBE", keys.handover(self._worker))
        self._connection = connection
        self._socket = connection._sock  # noqa: SLF001  there is no public way to have it
        self._socket.settimeout(0)
        self._reader = hiredis.Reader()
        self._asked_at = None
        self._on_open(self._socket.fileno())
        try:
            for _ in self._until(b"subscribe"):
                pass
        except BrokerUnavailableError:
            self.close()
            raise

    def receive(self) -> Iterator[Ticket]:
        """Yield what has come. Raises `BrokerUnavailableError`: then it is to be closed."""
        with translated():
            while self._connection is not None:
                try:
                    data = self._socket.recv(_MOST_BYTES)
                except _NOTHING_YET:
                    return
                if not data:
                    raise BrokerUnavailableError("the broker has hung up")
                self._asked_at = None
                self._reader.feed(data)
                while (reply := self._reader.gets()) is not False:
                    yield from self._tickets_in(reply)

    def check(self) -> None:
        """Ask whether the broker is still there, after `receive`, again and again.

        A network may lose a connection without telling either side. Then the broker goes on handing
        over, and nothing comes. Raises `BrokerUnavailableError`, as `receive` does.
        """
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at = now
            with translated():
                self._connection.send_command("PING", check_health=False)
        elif now - self._asked_at > LEASE_SECONDS:
            raise BrokerUnavailableError("the broker does not answer: what is handed over is lost")

    def end(self) -> Iterator[Ticket]:
        """Listen no more, and yield what has been handed over until then.

        Raises `BrokerUnavailableError`, as `receive` does.
        """
        with translated():
            self._connection.send_command("UNSUBSCRIBE", check_health=False)
        yield from self._until(b"unsubscribe")
        self.close()

    def close(self) -> None:
        """Listen no more."""
        if self._connection is not None:
            self._on_close(self._socket.fileno())
            self._connection.disconnect()
            self._connection = self._socket = None

    def _until(self, word: bytes) -> Iterator[Ticket]:
        """Yield what comes until the broker has confirmed a command."""
        self._confirmed = b""
        until = time.monotonic() + self._reply_seconds
        while True:
            yield from self.receive()
            if self._confirmed == word:
                return
            left = until - time.monotonic()
            if left <= 0:
                raise BrokerUnavailableError("the broker does not answer")
            select.select([self._socket], [], [], left)

    def _tickets_in(self, reply: Any) -> Iterator[Ticket]:
        match reply:
            case [b"message", _, bytes(news)]:
                yield read_handed(self._worker, news, is_traced=self._is_traced)
            case [b"subscribe" | b"unsubscribe" as word, *_]:
                self._confirmed = word
            case Exception():
                raise BrokerUnavailableError(f"the broker cannot serve: {reply}")


def read_handed(worker: str, news: bytes, *, is_traced: bool) -> Ticket:
    """Read what `hand_over` in `accept.lua` has packed: a ticket as `claims.claim` gives it out."""
    # Whatever bytes a payload has.
    size, _, rest = news.partition(b" ")
    payload, packed = rest[: int(size)], rest[int(size) :]
    now, tag, id_, function, trace_parent, request_id = _NEWS.decode(packed)
    return Ticket(
        held=Claim(worker=worker, tag=tag),
        id=id_,
        function=function,
        claimed_at_us=int(now),
        fresh=True,
        payload=payload,
        ages_since_us=int(now),
        request_id=request_id or None,
        trace_parent=trace_parent or None if is_traced else None,
    )


_NEWS = msgspec.msgpack.Decoder(tuple[str, str, str, str, str, str])
