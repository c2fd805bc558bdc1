"""A step that lists invocations."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

from runtime.invocation import Record, Status
from runtime.store.records import record
from runtime.store.scripts import script
from runtime.store.step import Step, pairs

_MOST_BYTES = 1_000_000
# A broker looks at these in a few milliseconds; it answers nobody else meanwhile.
_MOST_LOOKED_AT = 2000


class Position(NamedTuple):
    """Where a part ended: an hour since the epoch, and how many entries of its list are left.

    `rest` is how many ids of the next entry are, or '' for all. Of those that are older than the
    lists of hours, `hour` is 0, and `left` and `rest` say which is the next: when it was accepted,
    in microseconds, and its id. It stays true whatever is accepted later.
    """

    hour: int
    left: int
    rest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some invocations, the latest first, and where to go on; None at the end."""

    records: tuple[Record, ...]
    next_position: Position | None


def read_part(
    *,
    limit: int,
    function: str | None = None,
    statuses: Collection[Status] = (),
    since_us: int = 0,
    position: Position | None = None,
) -> Step[Part]:
    """Read a part of those accepted since a time; there may be more however few it has.

    Every record that is kept is listed.
    """

    def parse(reply: Any) -> Part:
        listed, *where = reply
        return Part(
            records=tuple(record(one[0].decode(), pairs(one[1:])) for one in listed),
            next_position=(
                Position(int(where[0]), int(where[1]), where[2].decode()) if where else None
            ),
        )

    return Step(
        script=script("listing"),
        arguments=(
            limit,
            _MOST_LOOKED_AT,
            *(position or ("", "", "")),
            function or "",
            f" {' '.join(statuses)} " if statuses else "",
            since_us,
            _MOST_BYTES,
        ),
        parse=parse,
    )
