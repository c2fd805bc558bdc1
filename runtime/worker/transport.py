"""kombu's Redis transport, claiming messages so that no kill can lose one.

kombu takes a message with `BRPOP` and notes it as unacknowledged afterwards: a worker that is
killed between the two loses it. Here a message goes from its queue into the worker's in-flight set
in one step of the store, up to 64 at a time, and stays there until its invocation's outcome is
stored. What a worker holds is given back when its lease lapses (`runtime.store.claims`).

Waiting is a `BLMOVE` of one message to the worker's landing list, from where the next claim takes
it: a stock producer's message is heard of at once. Other lists than the main queue (less urgent
messages, queues added by remote control) are looked at once a second while nothing comes.

This changes methods of kombu that are not public: `install` refuses other versions than the tested
ones.
"""

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import kombu
import structlog
from kombu.transport import TRANSPORT_ALIASES, redis, virtual

from runtime.errors import EyasError
from runtime.message import QUEUE
from runtime.store import Store, claims, is_unknown_script, keys
from runtime.store.claims import Claim, Ticket
from runtime.store.step import Step, load

TESTED_KOMBU = (5, 7)

_log = structlog.get_logger("worker")

_MOST_CLAIMED = 128
_MOST_ACKNOWLEDGED = 1000
_PAUSE_SECONDS = 0.5
_MOST_BEYOND = 8


class UntestedKombuError(EyasError):
    """kombu is another minor version than the transport was tested with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """What takes messages: a worker's name, and how it deals with what it takes.

    `room` tells how many messages more it wants, and `take` runs those that web wrote. `admit`
    returns any other one as kombu takes it, or None if Celery is not to run it. `acknowledged`
    holds the tags to acknowledge with the next claim; it outlives connections. With `is_traced`,
    it wants to know to which trace a message belongs.
    """

    worker: str
    store: Store
    room: Callable[[], int]
    take: Callable[[Iterable[Ticket]], None]
    admit: Callable[[Claim, bytes], dict[str, Any] | None]
    acknowledged: list[str] = field(default_factory=list)
    is_traced: bool = False


def install(hands: Hands) -> None:
    """Make `redis://` and `rediss://` mean this transport, in this process.

    Raises `UntestedKombuError`.
    """
    check_version(kombu.__version__)
    # Not among the transport's options: Celery shows those to whoever inspects the worker.
    ClaimingChannel.hands = hands
    name = f"{ClaimingTransport.__module__}:{ClaimingTransport.__qualname__}"
    TRANSPORT_ALIASES.update(redis=name, rediss=name)


def check_version(version: str) -> None:
    """Raise `UntestedKombuError` for a kombu version that the transport was not tested with."""
    if tuple(int(part) for part in version.split(".")[:2]) != TESTED_KOMBU:
        tested = ".".join(map(str, TESTED_KOMBU))
        raise UntestedKombuError(
            f"kombu {version} is installed; the worker's transport was tested with {tested}. "
            "Install the locked requirements."
        )


class ClaimingQoS(redis.QoS):
    """Keeps in memory which messages are being worked on; the broker knows who holds them."""

    def can_consume(self) -> bool:
        """Go on a little beyond the limit: most messages are not for Celery's own pool."""
        return (
            not self.prefetch_count
            or len(self._delivered) - len(self._dirty) < self.prefetch_count + _MOST_BEYOND
        )

    def append(self, message: Any, delivery_tag: str) -> None:
        virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        self.channel.acknowledge(delivery_tag)
        virtual.QoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002  kombu's
        if requeue:
            # Celery rejects so when the process that ran it has died.
            self.channel.give_back(delivery_tag)
            virtual.QoS.ack(self, delivery_tag)
        else:
            self.ack(delivery_tag)

    def restore_unacked(self, client: Any = None) -> None:
        """Give nothing back here: the consumer does when it starts, and the worker at its end."""
        del client
        self._delivered.clear()

    def restore_visible(self, *_: Any, **__: Any) -> None:
        """Leave lapsed leases to the scheduler."""


class ClaimingChannel(redis.Channel):
    """A channel that claims."""

    QoS = ClaimingQoS

    hands: Hands

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._asked: Step[Any] | None = None
        self._asked_for = 0
        self._is_drained = False
        self._not_before = 0.0
        self._acknowledging = 0
        super().__init__(*args, **kwargs)

    def close(self) -> None:
        if not self.closed:
            self._forget_sockets()
        super().close()

    def _forget_sockets(self) -> None:
        """Take this channel's sockets out of the event loop.

        kombu leaves them there when it closes a channel and not the connection, as after an error
        in a remote-control command. The next socket with such a number, whatever it is for, would
        be taken for this channel's, and the worker would wait for ever for what it has to say.
        """
        cycle = self.connection.cycle
        for fileno, (channel, _) in list(cycle._fd_to_chan.items()):  # noqa: SLF001
            if channel is self:
                del cycle._fd_to_chan[fileno]  # noqa: SLF001
                with contextlib.suppress(KeyError, ValueError, OSError):
                    cycle._unregister_from_poll(fileno)  # noqa: SLF001
        for key in list(cycle._chan_to_sock):  # noqa: SLF001
            if key[0] is self:
                del cycle._chan_to_sock[key]  # noqa: SLF001

    def acknowledge(self, tag: str) -> None:
        """Acknowledge a message with the next claim."""
        self.hands.acknowledged.append(tag)

    def give_back(self, tag: str) -> None:
        """Queue a message again whose process has died, to be the next."""
        self.hands.store.insist(
            claims.requeue(Claim(worker=self.hands.worker, tag=tag), has_crashed=True)
        )

    def _brpop_start(self, timeout: float | None = None) -> None:
        del timeout
        queues = self._queue_cycle.consume(len(self.active_queues))
        room = self.hands.room()
        if not queues or not room or monotonic() < self._not_before:
            return
        self._asked = self._wait(queues) if self._is_drained else self._claim(queues, room)
        connection = self.client.connection
        self._in_poll = connection
        self._brpop_sent_at = monotonic()  # type: ignore[assignment]
        connection.send_command(*self._asked.command)

    def _claim(self, queues: list[str], room: int) -> Step[Any]:
        tags = self.hands.acknowledged[:_MOST_ACKNOWLEDGED]
        self._acknowledging = len(tags)
        self._asked_for = min(room, _MOST_CLAIMED)
        return claims.claim(
            self.hands.worker,
            queues=[
                self._q_for_pri(queue, priority)
                for priority in self.priority_steps
                for queue in queues
            ],
            room=self._asked_for,
            acknowledged=tags,
            is_traced=self.hands.is_traced,
        )

    def _wait(self, queues: list[str]) -> Step[Any]:
        # Without the main queue, on remote control's wish, wait for what never comes.
        queue = QUEUE if QUEUE in queues else keys.landing(self.hands.worker) + ":none"
        return claims.wait_for_message(self.hands.worker, queue=queue, seconds=self.brpop_timeout)

    def _brpop_read(self, **_: Any) -> bool:
        asked, connection = self._asked, self.client.connection
        was_waiting = self._is_drained
        try:
            reply = connection.read_response()
        except self.ResponseError as error:
            if asked is not None and is_unknown_script(error):
                # The first time, and after the broker was started anew.
                self.hands.store.insist(load(asked))
                raise virtual.Empty from error
            # Full, read-only or loading: not lost, only not able to serve now.
            _log.warning("claims.refused", reason=str(error))
            # A full broker refuses to wait, which moves a message, and not to claim.
            self._is_drained = False
            self._not_before = monotonic() + _PAUSE_SECONDS
            raise virtual.Empty from error
        except self.connection_errors:
            connection.disconnect()
            raise
        finally:
            self._in_poll = None  # type: ignore[assignment]
            self._flush_brpop_reauth()
        if asked is None or self._closing:
            raise virtual.Empty
        if was_waiting:
            self._is_drained = False
            raise virtual.Empty
        del self.hands.acknowledged[: self._acknowledging]
        claimed = asked.parse(reply)
        # Fewer than there was room for: that is all there is.
        self._is_drained = len(claimed) < self._asked_for
        if claimed.tickets:
            self.hands.take(claimed.tickets)
        for held, message in claimed.messages:
            admitted = self.hands.admit(held, message)
            if admitted is not None:
                self.connection._deliver(admitted, held.queue.partition(self.sep)[0])  # noqa: SLF001
        if not claimed:
            raise virtual.Empty
        return True

    def _deliver_fanout_message(self, message: Any, exchange: str) -> bool:
        try:
            self.Message(message, channel=self)
        # Remote control reaches every worker at once; Celery would exit at what is no message.
        except Exception as error:  # noqa: BLE001  whatever it is, it can only be dropped
            _log.warning("control.dropped", error=f"{type(error).__name__}: {error}")
            return True
        return bool(super()._deliver_fanout_message(message, exchange))

    def _poll_error(self, type: str, **_: Any) -> None:  # noqa: A002  kombu's
        if type == "LISTEN":
            self.subclient.parse_response()
        else:
            self._brpop_read()


class ClaimingTransport(redis.Transport):
    """The transport of workers; producers in them publish as kombu does."""

    Channel = ClaimingChannel
