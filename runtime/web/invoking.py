"""Accepting invocations, waiting for them to finish, and cancelling them."""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from runtime import message
from runtime.errors import (
    BrokerUnavailableError,
    ConflictError,
    ExpiredInvocationError,
    IdempotencyConflictError,
    InvalidPayloadError,
    ThrottledError,
    UnknownInvocationError,
)
from runtime.function import Function
from runtime.invocation import Invocation, Record, Status, is_id, new_id
from runtime.outcome import CANCELLED_WAITING
from runtime.settings import Settings
from runtime.store import AsyncStore, GroupCommit, Watcher, lifecycle, records
from runtime.store.accepting import Accepted, Accepting, Offer
from runtime.store.channels import Watch
from runtime.store.lifecycle import Cancelling
from runtime.store.records import Gone
from runtime.web.terms import Patience, Terms

_READ_AGAIN_SECONDS = 0.2
# Offered at a time by one request: as much as one step takes, so that others get their turn.
_MOST_OFFERS = 256
_MOST_OFFER_BYTES = 4_000_000
_SHORT_WAIT_SECONDS = 0.05


class Acceptance(msgspec.Struct, frozen=True, kw_only=True):
    """What came of asking for an invocation.

    With `is_replayed` the key was used before, and `id` is the first request's. `record` is the
    last that is known, if anything but the acceptance is.
    """

    id: str
    is_replayed: bool = False
    record: Record | None = None

    @property
    def status(self) -> Status:
        """Where the invocation stood when it was asked for."""
        return self.record.status if self.is_replayed and self.record else Status.QUEUED


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One of several invocations that a request asks for; the payload is checked."""

    function: Function[..., Any]
    payload: bytes
    terms: Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoker:
    """Puts invocations into the store and reads their records."""

    store: AsyncStore
    commits: GroupCommit
    watcher: Watcher
    settings: Settings

    async def accept(
        self,
        function: Function[..., Any],
        payload: bytes,
        *,
        terms: Terms,
        patience: Patience | None = None,
    ) -> Acceptance:
        """Check a payload and enqueue it. On return the invocation is on the broker's disk.

        With patience, also wait for a terminal status. Raises `MalformedJSONError`,
        `InvalidPayloadError`, `IdempotencyConflictError`, `ThrottledError`: nothing was enqueued;
        `BrokerUnavailableError`: a broker that stopped answering may have taken it.
        """
        try:
            function.payload.check(payload)
        except InvalidPayloadError:
            if not terms.takes_unfit:
                raise
        invocation = invocation_of(function, payload, terms)
        record = None
        offer = self.offer_of(
            function, [invocation], terms, asks_whether_heard=patience is not None
        )
        if patience is None:
            accepted = await self.commits.offer(offer)
            self.raise_refusal(accepted, terms)
        else:
            with self.watcher.watch(invocation.id) as watch:
                accepted = await self.commits.offer(offer)
                self.raise_refusal(accepted, terms)
                if accepted.outcome is not Accepting.REPLAYED:
                    if not accepted.is_heard:
                        watch.read_first()
                    record = await self._wait(invocation.id, watch, patience)
        is_replayed = accepted.outcome is Accepting.REPLAYED
        if is_replayed:
            record = await self.read(accepted.id, patience=patience)
        return Acceptance(id=accepted.id, is_replayed=is_replayed, record=record)

    async def accept_batch(
        self, function: Function[..., Any], payloads: Sequence[bytes], *, terms: Terms
    ) -> list[str]:
        """Enqueue payloads that were checked, at least one: all or none. Return their ids in order.

        Raises `ThrottledError`, `BrokerUnavailableError`.
        """
        invocations = [invocation_of(function, payload, terms) for payload in payloads]
        accepted = await self.commits.offer(self.offer_of(function, invocations, terms))
        self.raise_refusal(accepted, terms, count=len(invocations))
        return [invocation.id for invocation in invocations]

    async def accept_each(self, asked: Iterable[Asked]) -> list[Acceptance]:
        """Enqueue invocations each for itself, in as few exchanges as possible.

        Raises `ThrottledError`, `BrokerUnavailableError`: some of them may be enqueued. Those that
        have a key are not enqueued again if all of them are asked for again.
        """
        found: list[Acceptance] = []
        waiting: list[tuple[Asked, Offer]] = []
        size_bytes = 0
        for each in asked:
            offer = self.offer_of(
                each.function,
                [invocation_of(each.function, each.payload, each.terms)],
                each.terms,
            )
            is_full = len(waiting) == _MOST_OFFERS
            if waiting and (is_full or size_bytes + offer.size_bytes > _MOST_OFFER_BYTES):
                found += await self._accept_together(waiting)
                waiting, size_bytes = [], 0
            waiting.append((each, offer))
            size_bytes += offer.size_bytes
        return found + await self._accept_together(waiting)

    async def _accept_together(self, waiting: Sequence[tuple[Asked, Offer]]) -> list[Acceptance]:
        answers: list[asyncio.Future[Accepted]] = []
        try:
            for _, offer in waiting:
                answers.append(self.commits.offer(offer))
        finally:  # if one is refused, those before it are not
            outcomes = await asyncio.gather(*answers, return_exceptions=True)
        found = []
        for (asked, _), outcome in zip(waiting, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                raise outcome
            self.raise_refusal(outcome, asked.terms)
            is_replayed = outcome.outcome is Accepting.REPLAYED
            found.append(Acceptance(id=outcome.id, is_replayed=is_replayed))
        return found

    async def read(self, invocation_id: str, *, patience: Patience | None = None) -> Record:
        """Return a record, waiting for a terminal status while there is patience.

        Raises `UnknownInvocationError`, `ExpiredInvocationError`, `BrokerUnavailableError`.
        """
        record = await self._read(invocation_id)
        if patience is None or record.is_terminal:
            return record
        with self.watcher.watch(invocation_id) as watch:
            watch.read_first()  # it may have ended since
            record = await self._wait(invocation_id, watch, patience) or record
        if not record.is_terminal:
            # What is known is as old as the wait. If the broker is away now, it is still true.
            with contextlib.suppress(BrokerUnavailableError):
                record = await self._read(invocation_id)
        return record

    async def cancel(self, invocation_id: str) -> tuple[Record, Status]:
        """Cancel an invocation; return its record of before, and the status that it has now.

        One that runs is still `running`: its worker stops it soon. Raises `ConflictError` if it is
        finished, and what `read` raises.
        """
        record = await self._read(invocation_id)
        outcome = await self.store.run(
            lifecycle.cancel(
                invocation_id,
                error=CANCELLED_WAITING.encode(),
                celery_result=message.revoked_result(invocation_id, CANCELLED_WAITING.message),
                retention=self.settings.retention,
            )
        )
        if outcome is Cancelling.FINISHED:
            raise ConflictError(f"invocation {invocation_id!r} is finished: it stays as it is")
        if outcome is Cancelling.UNKNOWN:
            raise ExpiredInvocationError(invocation_id)
        return record, Status.CANCELLED if outcome is Cancelling.CANCELLED else Status.RUNNING

    def offer_of(
        self,
        function: Function[..., Any],
        invocations: Sequence[Invocation],
        terms: Terms,
        *,
        asks_whether_heard: bool = False,
    ) -> Offer:
        """Return what the broker is to accept, under a request's terms and the settings."""
        return Offer.of(
            [(each, message.encode(each, function.payload)) for each in invocations],
            max_open=self.settings.max_open,
            idempotency=terms.idempotency(
                invocations[0].payload, ttl_seconds=self.settings.idempotency_ttl_seconds
            ),
            asks_whether_heard=asks_whether_heard,
            listed_seconds=self.settings.result_ttl_seconds,
        )

    def raise_refusal(self, accepted: Accepted, terms: Terms, *, count: int = 1) -> None:
        """Raise `ThrottledError` or `IdempotencyConflictError` if the broker has refused."""
        if accepted.outcome is Accepting.FULL:
            raise ThrottledError(
                f"{self.settings.max_open} invocations may wait or run (EYAS_MAX_OPEN), "
                f"and there is no room for {count} more: try again later"
            )
        if accepted.outcome is Accepting.CONFLICT:
            raise IdempotencyConflictError(terms.idempotency_key or "")

    async def _read(self, invocation_id: str) -> Record:
        if not is_id(invocation_id):
            raise UnknownInvocationError(invocation_id)
        found = await self.store.run(records.read(invocation_id, retention=self.settings.retention))
        if isinstance(found, Gone):
            raise ExpiredInvocationError(invocation_id)
        if found is None:
            raise UnknownInvocationError(invocation_id)
        return found

    async def _wait(self, invocation_id: str, watch: Watch, patience: Patience) -> Record | None:
        """Read a record whenever it may have changed; None if there was no reason to read it."""
        record, changed = None, watch.changed
        leaving: asyncio.Task[None] | None = None

        def look_out() -> None:
            nonlocal leaving
            leaving = asyncio.create_task(patience.hung_up())
            leaving.add_done_callback(lambda _: changed.set())

        # Looking out for the client's end takes the server more than a short wait.
        timer = asyncio.get_running_loop().call_later(_SHORT_WAIT_SECONDS, look_out)
        try:
            while record is None or not record.is_terminal:
                try:
                    async with asyncio.timeout(patience.until - time.monotonic()):
                        await changed.wait()
                except TimeoutError:
                    return record
                if leaving is not None and leaving.done():
                    return record
                changed.clear()
                if watch.record is not None:
                    return watch.record
                try:
                    record = await self._read(invocation_id)
                except BrokerUnavailableError:
                    # It may be back before the deadline. If not, what is known is still true.
                    if time.monotonic() >= patience.until:
                        return record
                    await asyncio.sleep(_READ_AGAIN_SECONDS)
                    changed.set()
        finally:
            timer.cancel()
            if leaving is not None:
                leaving.cancel()
        return record


def invocation_of(function: Function[..., Any], payload: bytes, terms: Terms) -> Invocation:
    """Make the invocation that a request asks for, with a new id."""
    policy = terms.policy or function.retry_policy
    return Invocation(
        id=new_id(),
        function=function.name,
        payload=payload or b"{}",
        trigger=terms.trigger,
        timeout_seconds=function.timeout_seconds,
        retries=policy.retries,
        max_age_seconds=policy.max_age_seconds,
        delay_seconds=terms.delay_seconds,
        request_id=terms.request_id,
        trace_parent=terms.trace_parent,
        replay_of=terms.replay_of,
        callback=terms.callback,
        calling=terms.calling,
        policy=terms.policy.encode() if terms.policy else None,
        on_success=terms.on_success,
        on_failure=terms.on_failure,
    )
