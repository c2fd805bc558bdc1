"""Accepting invocations, and waiting for them to finish."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from runtime import json_text, message
from runtime.errors import BrokerUnavailableError, UnknownInvocationError
from runtime.function import Function
from runtime.invocation import Invocation, Record, new_id
from runtime.store import AsyncStore, Watcher, steps

_READ_AGAIN_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asked: what an invocation keeps of the HTTP request that caused it."""

    request_id: str
    trace_parent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoker:
    """Puts invocations into the store and reads their records."""

    store: AsyncStore
    watcher: Watcher

    async def accept(
        self, function: Function[..., Any], payload: bytes, *, caller: Caller
    ) -> Invocation:
        """Check a payload and enqueue it. On return the invocation is on the broker's disk.

        Raises `MalformedJSONError`, `InvalidPayloadError`, `BrokerUnavailableError`; nothing was
        enqueued then, except that a broker which stopped answering may have taken it.
        """
        invocation = _checked(function, payload, caller)
        await self._enqueue(function, invocation)
        return invocation

    async def accept_and_wait(
        self, function: Function[..., Any], payload: bytes, *, caller: Caller, seconds: float
    ) -> tuple[Invocation, Record | None]:
        """`accept`, then wait for a terminal status; None if it did not come in time."""
        invocation = _checked(function, payload, caller)
        deadline = time.monotonic() + seconds
        async with self.watcher.watch(invocation.id) as changed:
            await self._enqueue(function, invocation)
            record = await self._wait(invocation.id, changed, deadline)
        return invocation, record if record is not None and record.is_terminal else None

    async def read(self, invocation_id: str, *, wait_seconds: float | None = None) -> Record:
        """Return a record, waiting at most so long for a terminal status.

        Raises `UnknownInvocationError`, `BrokerUnavailableError`.
        """
        record = await self.store.run(steps.read(invocation_id))
        if record is None:
            raise UnknownInvocationError(invocation_id)
        if wait_seconds is None or record.is_terminal:
            return record
        deadline = time.monotonic() + wait_seconds
        async with self.watcher.watch(invocation_id) as changed:
            changed.set()  # read once more, now that nothing can be missed
            return await self._wait(invocation_id, changed, deadline) or record

    async def _enqueue(self, function: Function[..., Any], invocation: Invocation) -> None:
        encoded = message.encode(invocation, function.payload)
        await self.store.run(steps.accept(invocation, encoded))

    async def _wait(
        self, invocation_id: str, changed: asyncio.Event, deadline: float
    ) -> Record | None:
        record = None
        while record is None or not record.is_terminal:
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    await changed.wait()
            except TimeoutError:
                return record
            changed.clear()
            try:
                record = await self.store.run(steps.read(invocation_id))
            except BrokerUnavailableError:
                # It may be back before the deadline. If not, what is known is still true.
                await asyncio.sleep(_READ_AGAIN_SECONDS)
                changed.set()
        return record


def _checked(function: Function[..., Any], payload: bytes, caller: Caller) -> Invocation:
    json_text.check_nesting(payload)
    function.payload.arguments(payload)
    return Invocation(
        id=new_id(),
        function=function.name,
        payload=payload or b"{}",
        trigger="http",
        timeout_seconds=function.timeout_seconds,
        request_id=caller.request_id,
        trace_parent=caller.trace_parent,
    )
