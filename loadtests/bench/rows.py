"""The rows of the table: what is compared, and the least or the most that it may be."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from loadtests.bench.spread import Spread


class Limit(StrEnum):
    """How a row is judged."""

    AT_LEAST = "at least"
    AT_MOST = "at most"
    REPORT = "report"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison; `limit` is in `unit`, and for `REPORT` an aim, or 0 for none.

    Under `floor` something has become worse, on any machine, whatever is wanted; without one, the
    limit is meant.
    `is_extra` says that nobody misses it unless it was asked for.
    """

    key: str
    what: str
    judged: Limit
    limit: float = 0.0
    floor: float | None = None
    unit: str = ""
    is_extra: bool = False

    def form(self, value: float) -> str:
        """Write a value of this row."""
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2  # noqa: PLR2004
        text = f"{value:,.{digits}f}"
        return f"{text} {self.unit}" if self.unit else text

    def wanted(self) -> str:
        """Write the limit."""
        if self.judged is Limit.REPORT:
            return f"report (aim: {self.form(self.limit)})" if self.limit else "report"
        return f"{self.judged} {self.form(self.limit)}"


ROWS = (
    Row(
        key="accept_bare",
        what="`POST /functions/fib` accepted/s ÷ `GET /ping` of a bare Falcon app",
        judged=Limit.AT_LEAST,
        limit=0.5,
        floor=0.25,
    ),
    Row(
        key="accept_blog",
        what="÷ the blog's stack (gunicorn, Falcon, `fib.delay()`)",
        judged=Limit.AT_LEAST,
        limit=20,
    ),
    Row(
        key="accept_best",
        what="÷ the best of FastAPI + {Celery, dramatiq, rq, huey, arq, taskiq, saq}",
        judged=Limit.AT_LEAST,
        limit=4,
    ),
    Row(
        key="batch",
        what="batch route, 100 payloads a request: invocations/s ÷ the single route's",
        judged=Limit.AT_LEAST,
        limit=4,
        floor=1.8,
    ),
    Row(
        key="accept_against",
        what="accepted/s ÷ the other checkout's",
        judged=Limit.AT_LEAST,
        limit=0.95,
        is_extra=True,
    ),
    Row(
        key="drain_against",
        what="drain of fib(10) ÷ the other checkout's",
        judged=Limit.AT_LEAST,
        limit=0.95,
        is_extra=True,
    ),
    Row(
        key="drain_celery",
        what="drain of fib(10) ÷ stock Celery prefork with `acks_late`",
        judged=Limit.AT_LEAST,
        limit=10,
    ),
    Row(
        key="drain_best",
        what="the same drain ÷ the best peer, those that promise less included",
        judged=Limit.AT_LEAST,
        limit=2.5,
    ),
    Row(
        key="drain_bare",
        what="the same drain ÷ a bare loop that claims 64 and finishes 64",
        judged=Limit.AT_LEAST,
        limit=0.35,
    ),
    Row(
        key="wait_p50",
        what="`Prefer: wait` round trip, one client, p50 ÷ a synchronous call on "
        "functions-framework",
        judged=Limit.AT_MOST,
        limit=4,
    ),
    Row(key="wait_p99", what="the same, p99 ÷ p50", judged=Limit.AT_MOST, limit=5),
    Row(
        key="depth_accept",
        what="accepted/s with 1,000,000 queued ÷ with an empty queue",
        judged=Limit.AT_LEAST,
        limit=0.9,
    ),
    Row(
        key="depth_drain",
        what="drain with 1,000,000 queued ÷ with few",
        judged=Limit.AT_LEAST,
        limit=0.9,
    ),
    Row(
        key="memory",
        what="broker memory per queued fib invocation at 1,000,000",
        judged=Limit.AT_MOST,
        limit=1.5,
        unit="KB",
    ),
    Row(
        key="waiting",
        what="2,000 invocations of an `async def` handler that awaits 1 s: wall time to drain",
        judged=Limit.AT_MOST,
        limit=5,
        unit="s",
    ),
    Row(
        key="idle_cpu",
        what="whole stack idle: CPU of one core",
        judged=Limit.AT_MOST,
        limit=3,
        unit="%",
    ),
    Row(
        key="idle_memory",
        what="whole stack idle: resident memory (PSS), Flower included",
        judged=Limit.REPORT,
        unit="MB",
    ),
    Row(
        key="start",
        what="second `make start` to ready",
        judged=Limit.REPORT,
        limit=2,
        unit="s",
    ),
    Row(
        key="cold_start",
        what="one worker's cold start, to its `worker.ready`",
        judged=Limit.REPORT,
        limit=0.5,
        unit="s",
    ),
    Row(
        key="soak",
        what="accepting and draining at the same time: rates, latency percentiles, memory",
        judged=Limit.REPORT,
    ),
)
BY_KEY = {row.key: row for row in ROWS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was measured for a row; no spread means that it could not be, and `note` says why."""

    key: str
    spread: Spread | None = None
    note: str = ""

    @property
    def is_met(self) -> bool | None:
        """Tell whether the row holds; `None` if it is only reported."""
        row = BY_KEY[self.key]
        if row.judged is Limit.REPORT:
            return None
        if self.spread is None:
            return False
        if row.judged is Limit.AT_LEAST:
            return self.spread.median >= row.limit
        return self.spread.median <= row.limit

    @property
    def is_kept(self) -> bool:
        """Tell whether nothing has become worse."""
        floor = BY_KEY[self.key].floor
        if floor is None:
            return self.is_met is not False
        return self.spread is not None and self.spread.median >= floor

    def to_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "spread": self.spread.to_json() if self.spread else None,
            "note": self.note,
            "is_met": self.is_met,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        spread = Spread(**value["spread"]) if value["spread"] else None
        return cls(key=value["key"], spread=spread, note=value["note"])
