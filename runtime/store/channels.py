"""Channels of the broker, and those in this process who wait for what is published there.

A channel does no I/O. It is told what comes (`tell`), that its subscription is in force
(`confirm`), and that the connection was lost (`lose`).
"""

import asyncio
import contextlib
import enum
from dataclasses import dataclass, field

from runtime.invocation import TERMINAL, Record, Status
from runtime.store import records
from runtime.store.changes import Change, read_change
from runtime.store.chunks import YIELDED

_MOST_HEARD = 10_000


class Hears(enum.IntEnum):
    """What is a reason for a watch to read again; each includes those before it."""

    ENDS = 0
    STATUSES = 1
    """Any change of the status, and progress."""
    CHUNKS = 2


class Watch:
    """One who waits for an invocation. `changed` is set whenever it is worth reading again.

    `record` is the terminal one, if that came with the latest news: there is nothing left to read.
    """

    def __init__(self, channel: "InvocationChannel", *, hears: Hears) -> None:
        self.changed = asyncio.Event()
        self.record: Record | None = None
        self.hears = hears
        self.reads_first = False
        self._channel = channel

    def read_first(self) -> None:
        """Set `changed` once the subscription is in force: something may have been missed."""
        self.reads_first = True
        if self._channel.is_subscribed:
            self.changed.set()


@dataclass(slots=True, eq=False)
class InvocationChannel:
    """What is published of one invocation."""

    invocation_id: str
    is_subscribed: bool = False
    was_lost: bool = False
    waiting: set[Watch] = field(default_factory=set)

    def tell(self, news: bytes) -> None:
        """Wake who waits for this."""
        status, record = None, None
        # What is not ours, or is not to be read like this, may mean anything.
        with contextlib.suppress(ValueError):
            status, record = records.read_news(self.invocation_id, news)
        kind = Hears.ENDS
        if news == YIELDED:
            kind = Hears.CHUNKS
        elif status is not None and status not in TERMINAL:
            kind = Hears.STATUSES
        for watch in self.waiting:
            if watch.hears >= kind:
                watch.record = record
                watch.changed.set()

    def confirm(self) -> None:
        """Take note that the subscription is in force."""
        self.is_subscribed = True
        for watch in self.waiting:
            if watch.reads_first or self.was_lost:
                watch.changed.set()

    def lose(self) -> None:
        """Take note that it is not in force any more."""
        self.is_subscribed = False
        self.was_lost = True


class Listener:
    """One who hears of all changes to some statuses. `changed` is set when there is news.

    With a `function`, only what becomes of invocations of that one is news. `is_listening` once all
    its subscriptions are in force. `has_missed` is for who uses it to take back: changes were
    missed because the connection was lost, or too many came at once.
    """

    def __init__(self, *, function: str | None = None) -> None:
        self.changed = asyncio.Event()
        self.has_missed = False
        self._function = function
        self._heard: list[Change] = []
        self._pending: set[Status] = set()

    @property
    def is_listening(self) -> bool:
        return not self._pending

    def take(self, most: int) -> list[Change]:
        """Return changes that were heard since the last time, the oldest first.

        If there are more than `most`, `changed` is set for the others.
        """
        heard, self._heard = self._heard[:most], self._heard[most:]
        if self._heard:
            self.changed.set()
        return heard

    def expect(self, status: Status) -> None:
        """Count on a subscription that is not in force."""
        self._pending.add(status)

    def settle(self, status: Status) -> None:
        """Take note that a subscription is in force."""
        self._pending.discard(status)
        self.changed.set()

    def hear(self, change: Change) -> None:
        """Take a change, unless whoever uses this is far behind."""
        if self._function not in (None, change.function):
            return
        if len(self._heard) < _MOST_HEARD:
            self._heard.append(change)
        else:
            self.has_missed = True
        self.changed.set()

    def miss(self) -> None:
        """Take note that changes may have been missed."""
        self.has_missed = True
        self.changed.set()


@dataclass(slots=True, eq=False)
class StatusChannel:
    """What is published of all invocations that get one status."""

    status: Status
    is_subscribed: bool = False
    waiting: set[Listener] = field(default_factory=set)

    def add(self, listener: Listener) -> None:
        """Let somebody listen."""
        self.waiting.add(listener)
        if not self.is_subscribed:
            listener.expect(self.status)

    def tell(self, news: bytes) -> None:
        """Pass a change on."""
        try:
            change = read_change(self.status, news)
        except ValueError:  # not ours
            return
        for listener in self.waiting:
            listener.hear(change)

    def confirm(self) -> None:
        """Take note that the subscription is in force."""
        self.is_subscribed = True
        for listener in self.waiting:
            listener.settle(self.status)

    def lose(self) -> None:
        """Take note that it is not in force any more."""
        for listener in self.waiting:
            listener.expect(self.status)
            if self.is_subscribed:
                listener.miss()
        self.is_subscribed = False
