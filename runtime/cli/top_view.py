"""What `eyas top` shows, as lines of text. It is all pure."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runtime.cli.activity import Activity
from runtime.cli.durations import in_short
from runtime.cli.readings import Histogram, Reading
from runtime.logs.render import escape

_NOTHING = "-"
_LEAST_NAME_WIDTH = 12
_HEADING = "function"
_COUNT_UNITS = (("", 1e4, 1), ("k", 1e6, 1e3), ("M", 1e9, 1e6), ("G", math.inf, 1e9))
_HEAD_LINES = 3  # with the headings


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """One column; those of low importance are left out where there is no room."""

    heading: str
    width: int
    importance: int
    shown: Callable[[Activity], str]


def render(
    *,
    source: str,
    reading: Reading,
    activities: Sequence[Activity],
    width: int,
    height: int | None = None,
    complaint: str = "",
) -> list[str]:
    """Return lines that are `width` wide at most, and `height` many, if there is a limit.

    `complaint` says why there is nothing newer. If not all functions fit, the busiest are shown.
    """
    head = [f"eyas top  {source}", complaint or _state(reading)]
    columns = _fitting(width)
    room = len(activities) if height is None else max(0, height - _HEAD_LINES)
    shown = activities
    if len(activities) > room:
        room = max(0, room - 1)
        busiest = sorted(activities, key=lambda one: -one.business)[:room]
        shown = [one for one in activities if one in busiest]
    names = [escape(one.name) for one in shown]
    used = sum(column.width + 1 for column in columns)
    name_width = max(
        len(_HEADING), min(max(map(len, names), default=0), max(_LEAST_NAME_WIDTH, width - used))
    )
    lines = [*head, _row(_HEADING, [column.heading for column in columns], columns, name_width)]
    for name, one in zip(names, shown, strict=True):
        lines.append(_row(name, [column.shown(one) for column in columns], columns, name_width))
    if len(shown) < len(activities):
        lines.append(f"... and {len(activities) - len(shown)} more")
    return [_cut(line.rstrip(), width) for line in lines][:height]


def _state(reading: Reading) -> str:
    if not reading.is_broker_up:
        return "broker away: what is below was so before"
    messages = reading.messages
    depth = messages.get("queue", 0)
    oldest = f" (oldest {in_short(reading.oldest_queued_seconds)})" if depth else ""
    held = messages.get("in_flight", 0) + messages.get("landing", 0)
    return (
        f"queue {depth}{oldest}  claimed {held}  parked {messages.get('parked', 0)}  "
        f"delayed {messages.get('delayed', 0)}  workers {reading.workers}  broker up"
    )


def _row(name: str, cells: Sequence[str], columns: Sequence[_Column], name_width: int) -> str:
    cells = [f"{cell:>{column.width}}" for cell, column in zip(cells, columns, strict=True)]
    return " ".join([f"{_cut(name, name_width):<{name_width}}", *cells])


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def _fitting(width: int) -> list[_Column]:
    columns = list(_COLUMNS)
    while columns and _LEAST_NAME_WIDTH + sum(one.width + 1 for one in columns) > width:
        columns.remove(min(columns, key=lambda one: one.importance))
    return columns


def _rate(rate: float) -> str:
    if rate == 0:
        return "0"
    return f"{rate:.2g}" if rate < 1 else f"{rate:.1f}" if rate < 100 else _count(rate)  # noqa: PLR2004


def _count(count: float) -> str:
    for unit, limit, size in _COUNT_UNITS:
        if count < limit:
            return f"{count / size:.0f}{unit}"
    return _NOTHING


def _time(seconds: float | None, histogram: Histogram) -> str:
    if seconds is None:
        return _NOTHING
    if math.isinf(seconds):  # above all limits but the infinite one
        return f"> {in_short(histogram.limits[-2])}"
    return in_short(seconds)


_COLUMNS = (
    _Column(heading="acc/s", width=6, importance=9, shown=lambda one: _rate(one.accepted_rate)),
    _Column(heading="fin/s", width=6, importance=10, shown=lambda one: _rate(one.finished_rate)),
    _Column(heading="fail/s", width=6, importance=8, shown=lambda one: _rate(one.failed_rate)),
    _Column(heading="queued", width=6, importance=12, shown=lambda one: _count(one.now.queued)),
    _Column(heading="running", width=7, importance=11, shown=lambda one: _count(one.now.running)),
    _Column(heading="retrying", width=8, importance=5, shown=lambda one: _count(one.now.retrying)),
    _Column(heading="dead", width=5, importance=7, shown=lambda one: _count(one.now.dead)),
    _Column(
        heading="wait p50",
        width=9,
        importance=1,
        shown=lambda one: _time(one.wait.p50, one.now.wait),
    ),
    _Column(
        heading="wait p95",
        width=9,
        importance=3,
        shown=lambda one: _time(one.wait.p95, one.now.wait),
    ),
    _Column(
        heading="run p50", width=9, importance=2, shown=lambda one: _time(one.run.p50, one.now.run)
    ),
    _Column(
        heading="run p95", width=9, importance=4, shown=lambda one: _time(one.run.p95, one.now.run)
    ),
)
