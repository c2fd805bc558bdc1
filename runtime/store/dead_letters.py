"""Steps on dead letters: list, run again, forget."""

from dataclasses import dataclass
from typing import Any

from runtime.invocation import Record
from runtime.store import keys
from runtime.store.records import record
from runtime.store.scripts import script
from runtime.store.step import Step, pairs

_MOST_BYTES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of the dead letters, the latest first, and where the next part begins, if any."""

    records: tuple[Record, ...]
    next_cursor: str | None


def read_page(*, function: str | None, limit: int, cursor: str | None = None) -> Step[Page]:
    """Read dead letters, of all functions or of one; fewer than `limit` if they are large."""

    def parse(reply: Any) -> Page:
        listed, position = reply
        return Page(
            records=tuple(record(one[0].decode(), pairs(one[1:])) for one in listed),
            next_cursor=position.decode() or None,
        )

    return Step(
        script=script("dead_letters"),
        keys=(keys.dead_letters(function),),
        arguments=(limit, cursor or "", _MOST_BYTES),
        parse=parse,
    )


def redrive(invocation_id: str, *, max_age_seconds: float | None) -> Step[bool]:
    """Queue a dead letter again, under the same id; False if it is none."""
    return Step(
        script=script("redrive"),
        keys=(keys.invocation(invocation_id), keys.celery_result(invocation_id)),
        arguments=(invocation_id, max_age_seconds or 0),
        parse=bool,
    )


def purge(invocation_id: str) -> Step[bool]:
    """Forget a dead letter and its record; False if it is none."""
    return Step(
        script=script("purge"),
        keys=(keys.invocation(invocation_id),),
        arguments=(invocation_id,),
        parse=bool,
    )
