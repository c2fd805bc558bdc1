"""Group commit: everything that is offered in a turn of the event loop is accepted in one step.

The broker writes to disk once for each step, before it answers. So the more offers share a step,
the less each costs. Nobody waits for company: a step is sent at the end of the turn in which the
first offer came, and what comes while steps are under way goes into the next one.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import hiredis
from redis.exceptions import NoScriptError

from runtime.errors import BrokerUnavailableError
from runtime.store.accepting import Accepted, Offer, accept_all
from runtime.store.client import Pool, translated
from runtime.store.link import Link
from runtime.store.step import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much goes into one step, how many steps are under way, and who may wait how long.

    One offer goes into a step however large it is. An offer is answered, or refused, within
    `patience_seconds`; an answer of the broker is waited for at most `reply_seconds`.
    """

    step_offers: int = 256
    step_bytes: int = 4_000_000
    steps: int = 1
    waiting_offers: int = 10_000
    waiting_bytes: int = 64_000_000
    reply_seconds: float = 1.0
    patience_seconds: float = 1.6


@dataclass(slots=True, eq=False)
class _Waiting:
    offer: Offer
    answer: asyncio.Future[Accepted]
    until: float  # by the event loop's clock


@dataclass(slots=True, eq=False)
class _UnderWay:
    """A step that was sent, or is to be sent as soon as there is a connection for it."""

    group: Sequence[_Waiting]
    step: Step[list[Accepted]]
    until: float
    timer: asyncio.TimerHandle | None = None


class GroupCommit:
    """Accepts what many callers offer, each for itself.

    An offer that was made is accepted or not whatever becomes of its caller: a caller that is
    cancelled takes nothing back, and harms nobody.
    """

    def __init__(self, url: str, *, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        # Of redis-py's pool only the making of connections is used.
        self._pool = Pool.of(url, reply_seconds=None, connections=self._limits.steps)
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._idle: list[Link] = []
        self._under_way: set[_UnderWay] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._sends_soon = False
        self._ended: asyncio.Future[None] | None = None
        # Asking for it is a system call.
        self._loop: asyncio.AbstractEventLoop | None = None

    async def accept(self, offer: Offer) -> Accepted:
        """Return the broker's answer: what is accepted is on its disk.

        Raises `BrokerUnavailableError`; the broker may have accepted it nevertheless.
        """
        return await self.offer(offer)

    def offer(self, offer: Offer) -> asyncio.Future[Accepted]:
        """`accept`, for whoever is about to wait: it is offered now, and awaited by the caller.

        Raises `BrokerUnavailableError` if too many wait already.
        """
        limits = self._limits
        if (
            len(self._waiting) >= limits.waiting_offers
            or self._waiting_bytes + offer.size_bytes > limits.waiting_bytes
        ) and self._waiting:
            raise BrokerUnavailableError("the broker does not keep up: too many requests wait")
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        answer: asyncio.Future[Accepted] = loop.create_future()
        self._waiting.append(_Waiting(offer, answer, loop.time() + limits.patience_seconds))
        self._waiting_bytes += offer.size_bytes
        # At the end of this turn. A step that ends looks for what waits, too.
        if not self._sends_soon and len(self._under_way) < limits.steps:
            self._sends_soon = True
            loop.call_soon(self._send)
        return answer

    async def close(self) -> None:
        """Answer everybody who waits, and close the connections."""
        if self._waiting or self._under_way:
            self._ended = asyncio.get_running_loop().create_future()
            await self._ended
        for link in self._idle:
            link.close()
            await link.wait_closed()
        self._idle.clear()
        await self._pool.aclose()

    def _send(self) -> None:
        """Send what waits, in as many steps as may be under way."""
        self._sends_soon = False
        while self._waiting and len(self._under_way) < self._limits.steps:
            group = self._take()
            if group:
                self._begin(group)
        if self._ended is not None and not self._waiting and not self._under_way:
            self._ended.set_result(None)

    def _take(self) -> list[_Waiting]:
        """Take what goes into one step, and refuse what has waited too long."""
        now = asyncio.get_running_loop().time()
        group: list[_Waiting] = []
        step_bytes = 0
        while self._waiting and len(group) < self._limits.step_offers:
            size_bytes = self._waiting[0].offer.size_bytes
            if group and step_bytes + size_bytes > self._limits.step_bytes:
                break
            one = self._waiting.popleft()
            self._waiting_bytes -= size_bytes
            if one.answer.done():  # its caller was cancelled before anything was sent
                continue
            if one.until <= now:
                _refuse([one], BrokerUnavailableError("the broker does not answer"))
                continue
            group.append(one)
            step_bytes += size_bytes
        return group

    def _begin(self, group: Sequence[_Waiting]) -> None:
        loop = asyncio.get_running_loop()
        under_way = _UnderWay(
            group,
            accept_all([one.offer for one in group]),
            min(loop.time() + self._limits.reply_seconds, group[0].until),
        )
        self._under_way.add(under_way)
        link = self._take_idle()
        if link is not None:
            self._carry_out(under_way, link)
        else:
            connecting = loop.create_task(self._connect(under_way))
            self._connecting.add(connecting)
            connecting.add_done_callback(self._connecting.discard)

    def _take_idle(self) -> Link | None:
        while self._idle:
            link = self._idle.pop()
            if link.is_open:
                return link
        return None

    async def _connect(self, under_way: _UnderWay) -> None:
        try:
            async with asyncio.timeout_at(under_way.until):
                connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
                link = await Link.open(connection)
        except Exception as error:  # noqa: BLE001  whatever it is, it is each caller's to hear
            self._end(under_way, None, error)
        else:
            self._carry_out(under_way, link)

    def _carry_out(self, under_way: _UnderWay, link: Link) -> None:
        """Send a step by its script's digest, or by its text if the broker does not know it.

        Nothing is sent twice, except after the answer that the digest is unknown.
        """
        step = under_way.step
        command = step.command

        def on_reply(reply: Any) -> None:
            if isinstance(reply, NoScriptError):
                link.send(hiredis.pack_command(("EVAL", step.script, *command[2:])), on_answer)
            else:
                on_answer(reply)

        def on_answer(reply: Any) -> None:
            self._end(under_way, link, reply)

        # A step has one timer, and an offer none.
        under_way.timer = asyncio.get_running_loop().call_at(
            under_way.until, on_answer, TimeoutError("no answer in time")
        )
        link.send(hiredis.pack_command(command), on_reply)

    def _end(self, under_way: _UnderWay, link: Link | None, reply: Any) -> None:
        """Answer each offer of a step, and send what has come meanwhile."""
        if under_way.timer is not None:
            under_way.timer.cancel()
        self._under_way.remove(under_way)
        group = under_way.group
        try:
            with translated():
                if isinstance(reply, Exception):
                    raise reply  # noqa: TRY301  it is translated here
                answers = under_way.step.parse(reply)
        except Exception as error:  # noqa: BLE001  whatever it is, it is each caller's to hear
            # An answer that still comes would be taken for that of the next step. And a network
            # may lose all connections without telling us.
            for each in (*self._idle, *([link] if link else [])):
                each.close()
            _refuse(group, error)
        else:
            if link is not None:
                self._idle.append(link)
            for one, answer in zip(group, answers, strict=True):
                if not one.answer.done():
                    one.answer.set_result(answer)
        self._send()


def _refuse(group: Sequence[_Waiting], error: Exception) -> None:
    is_broker = isinstance(error, BrokerUnavailableError)
    for one in group:
        if not one.answer.done():
            # Raised in many places, one exception would collect all their tracebacks.
            one.answer.set_exception(BrokerUnavailableError(str(error)) if is_broker else error)
