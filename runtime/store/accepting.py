"""Accepting invocations: what is offered to the broker, and what it answers."""

import enum
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from runtime.invocation import IdempotencyKey, Invocation
from runtime.message import QUEUE
from runtime.store import keys
from runtime.store.scripts import script
from runtime.store.step import Step, microseconds

# What an offer adds to what it carries: lengths, and what is said of its kind.
_OVERHEAD_BYTES = 200


LISTED_SECONDS = 86_400
"""For how long an invocation is listed unless somebody says otherwise."""


class Accepting(enum.StrEnum):
    """What came of an offer; nothing is stored except with `ACCEPTED`."""

    ACCEPTED = "accepted"
    KNOWN = "known"
    FULL = "full"
    REPLAYED = "replayed"
    CONFLICT = "conflict"


class Accepted(NamedTuple):
    """The answer to an offer.

    `id` is that of its first invocation, or the first request's, for a key that was used before.
    With `is_heard`, somebody was subscribed to the channel of its first invocation before that was
    there.
    """

    outcome: Accepting
    id: str
    is_heard: bool = False


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """Invocations of one function, which are accepted together or not at all.

    `kind` and `arguments` are what `accept.lua` takes, and `size_bytes` is about how much that is.
    A plain one has one invocation, and nothing that is not said of most: it has fewer arguments.
    """

    id: str
    kind: tuple[str | int | float, ...]
    arguments: tuple[str | bytes | int, ...]
    is_plain: bool
    size_bytes: int

    @classmethod
    def of(
        cls,
        members: Sequence[tuple[Invocation, bytes]],
        *,
        max_open: int = 0,
        idempotency: IdempotencyKey | None = None,
        asks_whether_heard: bool = False,
        listed_seconds: int = LISTED_SECONDS,
    ) -> "Offer":
        """Offer invocations, at least one, with their messages.

        They differ in id and payload only. Whatever cannot be encoded fails here, and not in the
        step that an offer shares with others. An empty message makes the record only: of a message
        that is claimed already.
        """
        first = members[0][0]
        request_id = (first.request_id or "").encode()
        more = _more_fields(first)
        is_plain = not (
            asks_whether_heard or idempotency or len(members) > 1 or first.delay_seconds or more
        )
        arguments: list[str | bytes | int] = [request_id]
        if not is_plain:
            arguments += (
                len(members),
                microseconds(first.delay_seconds) if first.delay_seconds else 0,
                "1" if asks_whether_heard else "",
                len(more),
                *more,
            )
            if idempotency is None:
                arguments.append("")
            else:
                arguments += (
                    keys.idempotency(
                        first.function, idempotency.key, scope=idempotency.scope
                    ).encode(),
                    idempotency.ttl_seconds,
                    idempotency.digest,
                )
        size_bytes = _OVERHEAD_BYTES
        for invocation, message in members:
            arguments += (invocation.id.encode(), invocation.payload, message)
            size_bytes += len(invocation.payload) + len(message)
        return cls(
            id=first.id,
            kind=(
                first.function,
                first.trigger,
                first.retries,
                first.retries + 1,
                first.max_age_seconds or 0,
                max_open,
                listed_seconds,
            ),
            arguments=tuple(arguments),
            is_plain=is_plain,
            size_bytes=size_bytes,
        )


def _more_fields(invocation: Invocation) -> list[str | bytes]:
    """Return the fields that most records do not have, each followed by its value."""
    fields: list[str | bytes] = []
    if invocation.replay_of:
        fields += ("replay_of", invocation.replay_of.encode())
    if invocation.callback:
        fields += ("callback", invocation.callback.encode())
    if invocation.calling:
        fields += ("calling", invocation.calling)
    if invocation.policy:
        fields += ("policy", invocation.policy)
    if invocation.on_success:
        fields += ("on_success", invocation.on_success.encode())
    if invocation.on_failure:
        fields += ("on_failure", invocation.on_failure.encode())
    if invocation.depth:
        fields += ("depth", str(invocation.depth))
    return fields


def accept(
    invocation: Invocation,
    message: bytes,
    *,
    max_open: int = 0,
    idempotency: IdempotencyKey | None = None,
    listed_seconds: int = LISTED_SECONDS,
) -> Step[Accepted]:
    """Write the record and queue the message.

    An empty message makes the record only: of a message that is claimed already.
    """
    offer = Offer.of(
        [(invocation, message)],
        max_open=max_open,
        idempotency=idempotency,
        listed_seconds=listed_seconds,
    )
    return Step(
        script=script("accept", even_if_full=not message),
        keys=(QUEUE,),
        arguments=arguments_of([offer]),
        parse=lambda reply: answer_to(offer, reply[0]),
    )


def accept_all(offers: Sequence[Offer]) -> Step[list[Accepted]]:
    """Write the records and queue the messages of many offers, each for itself; answer each."""
    return Step(
        script=script("accept"),
        keys=(QUEUE,),
        arguments=arguments_of(offers),
        parse=lambda reply: [answer_to(*each) for each in zip(offers, reply, strict=True)],
    )


def arguments_of(offers: Sequence[Offer]) -> tuple[Any, ...]:
    """Return what `accept.lua` takes; what offers have in common is said once."""
    kinds: dict[tuple[str | int | float, ...], int] = {}
    arguments: list[Any] = []
    for offer in offers:
        number = kinds.setdefault(offer.kind, len(kinds) + 1)
        arguments.append(number if offer.is_plain else -number)
        arguments += offer.arguments
    return (len(kinds), *(value for kind in kinds for value in kind), *arguments)


def answer_to(offer: Offer, reply: bytes) -> Accepted:
    """Read the broker's answer to one offer."""
    if reply == b"accepted":
        return Accepted(Accepting.ACCEPTED, offer.id)
    if reply == b"heard":
        return Accepted(Accepting.ACCEPTED, offer.id, is_heard=True)
    outcome, _, first_id = reply.decode().partition(" ")
    return Accepted(Accepting(outcome), first_id or offer.id)
