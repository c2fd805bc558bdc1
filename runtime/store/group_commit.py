"""Group commit: everything that is offered in a turn of the event loop is accepted in one step.

The broker writes to disk once for each step, before it answers. So the more offers share a step,
the less each costs. Nobody waits for company: a step is sent at the end of the turn in which the
first offer came, and what comes while steps are under way goes into the next one.
"""

import asyncio
import functools
import hashlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import hiredis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError

from runtime.errors import BrokerUnavailableError
from runtime.store.accepting import Accepted, Offer, accept_all
from runtime.store.client import Pool, translated
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


class GroupCommit:
    """Accepts what many callers offer, each for itself.

    An offer that was made is accepted or not whatever becomes of its caller: a caller that is
    cancelled takes nothing back, and harms nobody.
    """

    def __init__(self, url: str, *, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._pool = Pool.of(url, reply_seconds=None, connections=self._limits.steps)
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._senders: set[asyncio.Task[None]] = set()

    async def accept(self, offer: Offer) -> Accepted:
        """Return the broker's answer: what is accepted is on its disk.

        Raises `BrokerUnavailableError`; the broker may have accepted it nevertheless.
        """
        limits = self._limits
        if (
            len(self._waiting) >= limits.waiting_offers
            or self._waiting_bytes + offer.size_bytes > limits.waiting_bytes
        ) and self._waiting:
            raise BrokerUnavailableError("the broker does not keep up: too many requests wait")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Accepted] = loop.create_future()
        self._waiting.append(_Waiting(offer, answer, loop.time() + limits.patience_seconds))
        self._waiting_bytes += offer.size_bytes
        # It starts at the end of this turn. Those that run look again before they end.
        if len(self._senders) < limits.steps and len(self._waiting) == 1:
            self._senders.add(loop.create_task(self._send_all()))
        return await answer

    async def close(self) -> None:
        """Answer everybody who waits, and close the connections."""
        await asyncio.gather(*self._senders)
        await self._pool.aclose()

    async def _send_all(self) -> None:
        connection = None
        try:
            while self._waiting:
                group = self._take()
                if group:
                    connection = await self._send(group, connection)
        finally:
            # Not by a callback, which runs later: whoever comes in between would start no sender.
            self._senders.remove(asyncio.current_task())  # type: ignore[arg-type]
            if connection is not None:
                await self._pool.release(connection)

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

    async def _send(
        self, group: Sequence[_Waiting], connection: AbstractConnection | None
    ) -> AbstractConnection | None:
        """Carry out one step and answer each of its offers.

        Uses the connection, or takes one; returns what can be used again, and is to be released.
        """
        now = asyncio.get_running_loop().time()
        until = min(now + self._limits.reply_seconds, group[0].until)
        is_usable = False
        try:
            with translated():
                async with asyncio.timeout_at(until):
                    if connection is None:
                        connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
                    step = accept_all([one.offer for one in group])
                    answers = step.parse(await _exchange(connection, step))
            is_usable = True
        except Exception as error:  # noqa: BLE001  whatever it is, it is each caller's to hear
            _refuse(group, error)
        else:
            for one, answer in zip(group, answers, strict=True):
                if not one.answer.done():
                    one.answer.set_result(answer)
        finally:
            if not is_usable and connection is not None:
                self._pool.distrust_idle()
                # An answer that still comes would be taken for that of the next step.
                await connection.disconnect(nowait=True)
                await self._pool.release(connection)
        return connection if is_usable else None


def _refuse(group: Sequence[_Waiting], error: Exception) -> None:
    is_broker = isinstance(error, BrokerUnavailableError)
    for one in group:
        if not one.answer.done():
            # Raised in many places, one exception would collect all their tracebacks.
            one.answer.set_exception(BrokerUnavailableError(str(error)) if is_broker else error)


async def _exchange(connection: AbstractConnection, step: Step[Any]) -> Any:
    """Carry out a step by its script's digest, or by its text if the broker does not know it.

    Nothing is sent twice, except after the answer that the digest is unknown.
    """
    arguments = (len(step.keys), *step.keys, *step.arguments)
    # redis-py would look at each argument first, one by one.
    packed = hiredis.pack_command(("EVALSHA", _digest(step.script or ""), *arguments))
    await connection.send_packed_command(packed, check_health=False)
    try:
        return await connection.read_response()
    except NoScriptError:
        await connection.send_command("EVAL", step.script, *arguments)
        return await connection.read_response()


@functools.cache
def _digest(text: str) -> str:
    """Return the name under which the broker keeps a script."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
