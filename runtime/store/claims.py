"""Steps of workers: taking messages out of the queues, and giving back what they do not finish."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from runtime.invocation import Invocation
from runtime.message import QUEUE
from runtime.settings import Retention
from runtime.store import keys
from runtime.store.scripts import script
from runtime.store.step import Step, microseconds

LEASE_SECONDS = 3.0
"""How long a worker's claims hold after it was last heard of."""
LARGEST_TICKET_PAYLOAD_BYTES = 32_768
"""What is larger is not passed around: whoever runs it reads it from the record."""


class Claim(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message in a worker's hands. Whoever holds it may change its invocation's record."""

    worker: str
    tag: str

    @property
    def number(self) -> int:
        """Later claims have higher ones."""
        return int(self.tag.split(":", 1)[0])

    @property
    def deliveries(self) -> int:
        """How often the message has been delivered, this time included."""
        return int(self.tag.split(":", 2)[1])

    @property
    def queue(self) -> str:
        """The queue that it was taken from."""
        return self.tag.split(":", 2)[2]


class Ticket(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A claimed message that web wrote.

    If it is `fresh`, the invocation may run, and has not been tried since it was accepted or
    redriven. Otherwise `start` tells whether it may, and of the fields after it only `crashes` is
    known: how often the process that ran it died. One with a `policy` of its own is never fresh.
    `claimed_at_us` is by the broker's clock, and so is `ages_since_us`: when it was accepted, or
    redriven. An empty payload is too large to be passed around: it
    is in the record. `trace_parent` is known of all, if traces are on.
    """

    held: Claim
    id: str
    function: str
    claimed_at_us: int
    fresh: bool
    payload: bytes = b""
    attempts: int = 0
    ages_since_us: int = 0
    failures: int = 0
    policy: bytes = b""
    request_id: str | None = None
    crashes: int = 0
    trace_parent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """The answer to `claim`: messages that web wrote, and all others with their text."""

    tickets: tuple[Ticket, ...]
    messages: tuple[tuple[Claim, bytes], ...]

    def __len__(self) -> int:
        return len(self.tickets) + len(self.messages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """The answer to `renew`. After a lapse, what was held may be in other hands."""

    has_lapsed: bool
    to_stop: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lapsed:
    """A worker whose lease has lapsed, and how many of its messages were queued again."""

    worker: str
    messages: int
    since_seconds: float


def claim(
    worker: str,
    *,
    queues: Sequence[str],
    room: int,
    landing_queue: str = QUEUE,
    acknowledged: Sequence[str] = (),
    is_traced: bool = False,
) -> Step[Claimed]:
    """Claim up to `room` messages, and acknowledge tags.

    What has landed comes first, then `queues` in their order, the oldest message first. Only with
    `is_traced`, messages are searched for their trace.
    """
    return Step(
        script=script("claim"),
        keys=(keys.in_flight(worker), keys.landing(worker), *queues),
        arguments=(
            worker,
            room,
            LEASE_SECONDS,
            landing_queue,
            LARGEST_TICKET_PAYLOAD_BYTES,
            int(is_traced),
            *acknowledged,
        ),
        parse=lambda reply: _claimed(worker, reply),
    )


def wait_for_message(worker: str, *, queue: str, seconds: float) -> Step[bool]:
    """Wait until there is a message, and move it to the worker's landing list."""
    return Step(
        arguments=("BLMOVE", queue, keys.landing(worker), "RIGHT", "LEFT", seconds),
        parse=lambda reply: reply is not None,
    )


def acknowledge(worker: str, tags: Sequence[str]) -> Step[int]:
    """End claims."""
    return Step(script=script("acknowledge"), arguments=(worker, *tags), parse=int)


def requeue(held: Claim, *, has_crashed: bool) -> Step[bool]:
    """Make a claimed message the next of its queue; False if the claim is not held.

    `has_crashed` counts against it: the process that ran it died.
    """
    return Step(
        script=script("requeue"),
        arguments=(held.worker, held.tag, int(has_crashed)),
        parse=bool,
    )


def requeue_unstarted(worker: str, *, kept: Iterable[str] = ()) -> Step[int]:
    """Give back, in order, what a worker has claimed and not started, but for the tags `kept`."""
    return Step(script=script("requeue"), arguments=(worker, "", 0, *kept), parse=int)


def note_begun(worker: str, begun: Iterable[tuple[str, str, float]]) -> Step[frozenset[str]]:
    """Make the records say that fresh invocations run; the answer is the tags that are not held.

    Of each its tag, its id, and for how many seconds it has been running.
    """
    each = [part for tag, id_, seconds in begun for part in (tag, id_, microseconds(seconds))]
    return Step(
        script=script("began"),
        arguments=(worker, *each),
        parse=lambda reply: frozenset(tag.decode() for tag in reply),
    )


def renew(worker: str, *, consumes: bool, landing_queue: str = QUEUE) -> Step[Renewed]:
    """Renew a worker's lease; hear which of its running invocations shall be stopped."""
    return Step(
        script=script("renew"),
        arguments=(worker, LEASE_SECONDS, landing_queue, int(consumes)),
        parse=lambda reply: Renewed(
            has_lapsed=bool(int(reply[0])), to_stop=tuple(one.decode() for one in reply[1:])
        ),
    )


def retire(worker: str) -> Step[int]:
    """End a worker's lease, and give back whatever it still holds."""
    return Step(script=script("retire"), arguments=(worker,), parse=int)


def count_consuming() -> Step[int]:
    """Count the workers that take messages, and were heard of lately."""
    return Step(script=script("consuming"), parse=int)


def sweep(*, gap_seconds: float) -> Step[list[Lapsed]]:
    """Give back what workers hold whose lease has lapsed.

    If nobody has swept for more than `gap_seconds`, leases are prolonged by the time above that.
    """
    return Step(
        script=script("sweep"),
        arguments=(microseconds(gap_seconds), microseconds(LEASE_SECONDS)),
        parse=lambda reply: [
            Lapsed(worker=worker.decode(), messages=messages, since_seconds=since / 1e6)
            for worker, messages, since in zip(reply[::3], reply[1::3], reply[2::3], strict=True)
        ],
    )


def put_off(held: Claim, invocation_id: str, *, until_us: int) -> Step[bool]:
    """Delay a claimed message to a time; False if it has come, or there is no open record."""
    return Step(
        script=script("delay"),
        arguments=(held.worker, held.tag, invocation_id, until_us),
        parse=bool,
    )


def quarantine(
    held: Claim,
    *,
    dead_letter: Invocation,
    error: bytes,
    reason: str,
    retention: Retention,
) -> Step[bool]:
    """Make a dead letter of a claimed message that is no invocation.

    `dead_letter` has what can be shown of it.
    """
    return Step(
        script=script("quarantine"),
        arguments=(
            held.worker,
            held.tag,
            dead_letter.id,
            dead_letter.function,
            error,
            dead_letter.payload,
            retention.dead_letter_seconds,
            retention.id_seconds,
            reason,
        ),
        parse=bool,
    )


def read_tags(worker: str) -> Step[list[str]]:
    """Read the tags of what a worker holds."""
    return Step(
        arguments=("HKEYS", keys.in_flight(worker)),
        parse=lambda reply: [tag.decode() for tag in reply],
    )


def _claimed(worker: str, reply: list[Any]) -> Claimed:
    now = int(reply[0])
    tickets, messages = [], []
    for one in reply[1:]:
        held = Claim(worker=worker, tag=one[0].decode())
        match one:
            case [_, message]:
                messages.append((held, message))
            case [_, _, id_, function, trace_parent, *known]:
                fresh = len(known) > 1
                payload, attempts, ages_since, failures, request_id, crashes = (
                    (*known, 0) if fresh else (b"", 0, 0, 0, b"", *known)
                )
                tickets.append(
                    Ticket(
                        held=held,
                        id=id_.decode(),
                        function=function.decode(),
                        claimed_at_us=now,
                        fresh=fresh,
                        payload=payload,
                        attempts=attempts,
                        ages_since_us=ages_since,
                        failures=failures,
                        request_id=request_id.decode() or None,
                        crashes=crashes,
                        trace_parent=trace_parent.decode() or None,
                    )
                )
    return Claimed(tickets=tuple(tickets), messages=tuple(messages))
