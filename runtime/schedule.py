"""When a function runs by itself: at the times of a cron expression, or every so many seconds."""

import enum
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from cronsim import CronSim, CronSimError

from runtime.errors import LONGEST_SECONDS, DefinitionError

_SHORTCUTS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELD_COUNT = 5
_LONGEST_EXPRESSION = 200
_SHORTEST_INTERVAL_SECONDS = 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST_WINDOW = timedelta(hours=1)
_WINDOW_GROWTH = 24


class Missed(enum.StrEnum):
    """What becomes of times that passed while no scheduler looked."""

    LATEST = "latest"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """The times of a cron expression, by the wall clock of a time zone.

    Where clocks are changed it is what Debian's cron does. If minutes or hours begin with `*`, real
    time counts: each real hour has its runs, the repeated one too, and what is left out has none.
    Otherwise a time that is left out runs once, when the clock has been set forward, and one that
    comes twice runs the first time only.
    """

    expression: str
    zone: zoneinfo.ZoneInfo

    @property
    def definition(self) -> str:
        """The same text for the same times."""
        return f"{self.expression} {self.zone.key}"

    def next_after(self, at: datetime) -> datetime:
        """Return the first time after `at`, in UTC."""
        for found in CronSim(_standard(self.expression), at.astimezone(self.zone)):
            time = found.astimezone(UTC)
            # Of an hour that comes twice it names times of the first one, which may be over.
            if time > at:
                return time
        raise DefinitionError(f"schedule={self.expression!r} never comes after {at:%Y-%m-%d}")

    def latest(self, first: datetime, until: datetime) -> datetime:
        """Return the latest time from `first`, which is one, up to `until`."""
        window = _FIRST_WINDOW
        found = first
        while until - window > first:
            found = self.next_after(until - window)
            if found <= until:
                break
            window *= _WINDOW_GROWTH
            found = first
        while (following := self.next_after(found)) <= until:
            found = following
        return found

    def to_json(self) -> dict[str, Any]:
        return {"schedule": self.expression, "timezone": self.zone.key}


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Every so many seconds, by time that passes; counted from when a scheduler first saw it."""

    seconds: float

    @property
    def definition(self) -> str:
        """The same text for the same times."""
        return f"every {self._length}"

    @property
    def _length(self) -> timedelta:
        return timedelta(seconds=self.seconds)

    def next_after(self, at: datetime) -> datetime:
        """Return the time after one at `at`."""
        return at + self._length

    def latest(self, first: datetime, until: datetime) -> datetime:
        """Return the latest time from `first`, which is one, up to `until`."""
        return first + (until - first) // self._length * self._length

    def to_json(self) -> dict[str, Any]:
        return {"every": self.seconds, "timezone": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a function runs by itself, and with which payload (JSON text)."""

    times: Cron | Interval
    missed: Missed
    payload: bytes

    @classmethod
    def of(
        cls, *, schedule: Any, every: Any, timezone: Any, missed: Any, payload: bytes
    ) -> Self | None:
        """Read a function's options; None if they say that it has no schedule.

        Raises `DefinitionError`.
        """
        if missed not in list(Missed):
            raise DefinitionError(f"missed={missed!r}, expected 'latest' or 'skip'")
        if schedule is not None and every is not None:
            raise DefinitionError("schedule= and every= exclude each other")
        if timezone is not None and schedule is None:
            raise DefinitionError("timezone= is for schedule=")
        times: Cron | Interval
        if schedule is not None:
            times = _cron(schedule, "UTC" if timezone is None else timezone)
        elif every is not None:
            times = _interval(every)
        else:
            return None
        return cls(times=times, missed=Missed(missed), payload=payload)

    def to_json(self) -> dict[str, Any]:
        """Return it as lists show it: either `schedule` or `every`."""
        return self.times.to_json() | {"missed": self.missed}


def us_of(at: datetime) -> int:
    """Return microseconds since the Unix epoch."""
    return (at - _EPOCH) // _MICROSECOND


def time_of(at_us: int) -> datetime:
    """Return the time in UTC of microseconds since the Unix epoch."""
    return _EPOCH + timedelta(microseconds=at_us)


def id_of_run(function: str, due_at_us: int) -> str:
    """Return the id of the invocation for a time of a function's schedule.

    There can be only one of it, whatever becomes of all that is known of schedules.
    """
    return f"{function}@{time_of(due_at_us).isoformat().replace('+00:00', 'Z')}"


def scheduled_at(function: str, invocation_id: str) -> datetime | None:
    """Return the time that an id made by `id_of_run` names; None for any other id."""
    name, _, time = invocation_id.rpartition("@")
    if name != function:
        return None
    try:
        found = datetime.fromisoformat(time)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def _standard(expression: str) -> str:
    return _SHORTCUTS.get(expression.lower(), expression)


def _cron(expression: Any, timezone: Any) -> Cron:
    zone = _zone(timezone)
    if not isinstance(expression, str):
        raise DefinitionError(f"schedule={expression!r}, expected a cron expression")
    text = " ".join(expression.split())
    fields = _standard(text).split()
    if len(fields) != _FIELD_COUNT or len(text) > _LONGEST_EXPRESSION:
        shortcuts = ", ".join(_SHORTCUTS)
        raise DefinitionError(
            f"schedule={expression!r}, expected five fields (minute, hour, day of month, month, "
            f"day of week) such as '*/5 * * * *', or one of {shortcuts}"
        )
    cron = Cron(expression=text, zone=zone)
    try:
        cron.next_after(_EPOCH)
    except CronSimError as error:
        raise DefinitionError(f"schedule={expression!r}: {error}") from None
    return cron


def _zone(timezone: Any) -> zoneinfo.ZoneInfo:
    if isinstance(timezone, str):
        try:
            return zoneinfo.ZoneInfo(timezone)
        except (KeyError, ValueError, OSError):
            pass  # it is said below
    raise DefinitionError(
        f"timezone={timezone!r}, expected a name of the IANA time zones such as 'Europe/Berlin'"
    )


def _interval(every: Any) -> Interval:
    if (
        isinstance(every, bool)
        or not isinstance(every, int | float)
        or not _SHORTEST_INTERVAL_SECONDS <= every <= LONGEST_SECONDS
    ):
        raise DefinitionError(f"every={every!r}, expected seconds from 1")
    return Interval(seconds=every)
