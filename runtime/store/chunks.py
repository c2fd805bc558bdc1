"""Steps about what running attempts yield: kept for whoever follows them, until they have ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from runtime.invocation import TERMINAL, Status
from runtime.store import keys
from runtime.store.scripts import script
from runtime.store.step import Step

_MOST_BYTES_AT_ONCE = 1_048_576

YIELDED = b"yielded"
"""What is published on a record's channel when there are chunks; it is no status."""


class Kept(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A part of what an attempt has yielded: a JSON list, and how many parts were before it.

    It is kept for some seconds, of the broker's own clock: attempts live in real time.
    """

    tag: str
    id: str
    part: int
    chunks: bytes
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """Where an invocation stands, and what its present attempt has yielded.

    `status` is None if there is no record. With `has_more` there are parts that did not fit.
    """

    status: Status | None
    attempt: int
    parts: tuple[bytes, ...]
    has_more: bool

    @property
    def is_waiting(self) -> bool:
        """Whether no attempt runs, and one will."""
        return self.status in {Status.QUEUED, Status.RETRYING}

    @property
    def is_terminal(self) -> bool:
        """Whether nothing will become of it any more."""
        return self.status is None or self.status in TERMINAL


def keep(worker: str, parts: Sequence[Kept]) -> Step[int]:
    """Keep parts of attempts that one worker runs; the answer is how many were kept.

    What is not kept is of an attempt that this worker does not run any more, or not the next part.
    """
    each: list[Any] = []
    for one in parts:
        each += (one.tag, one.id, one.part, one.chunks, max(1, round(one.seconds * 1000)))
    return Step(script=script("keep_chunks"), arguments=(worker, *each), parse=int)


def follow(invocation_id: str, *, after: int) -> Step[Followed]:
    """Read what an invocation's attempt has yielded after so many parts."""
    return Step(
        script=script("follow"),
        keys=(keys.invocation(invocation_id), keys.chunks(invocation_id)),
        arguments=(after, _MOST_BYTES_AT_ONCE),
        parse=lambda reply: Followed(
            status=Status(reply[0].decode()) if reply[0] else None,
            attempt=reply[1],
            has_more=bool(reply[2]),
            parts=tuple(reply[3:]),
        ),
    )
