"""Times and lengths of time, for people."""

from datetime import datetime

_UNITS = (("d", 86_400), ("h", 3600), ("min", 60))
_SHORT_UNITS = (
    ("ms", 0.001, 0.9995),
    ("s", 1, 119.5),
    ("min", 60, 7170),
    ("h", 3600, 172_800),
)
_LEAST_SHOWN = 0.001
# From these on, three digits would be rounded up to the next unit.
_SECONDS_FROM, _MINUTES_FROM = 0.9995, 59.95
_DECIMALS_BELOW = 9.95


def in_words(seconds: float) -> str:
    """Return a length of time in units that suit it: `3.2 ms`, `1.5 s`, `2 min 5 s`, `3 d 1 h`."""
    seconds = max(0.0, seconds)
    if seconds < _SECONDS_FROM:
        return f"{seconds * 1000:.3g} ms"
    if seconds < _MINUTES_FROM:
        return f"{seconds:.3g} s"
    left, parts = round(seconds), []
    for unit, size in (*_UNITS, ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def in_short(seconds: float) -> str:
    """Return a length of time in one unit and 7 characters at most: `< 1 ms`, `3.2 ms`, `75 s`."""
    if seconds < _LEAST_SHOWN:
        return "< 1 ms"
    for unit, size, limit in _SHORT_UNITS:
        if seconds < limit:
            count = seconds / size
            return f"{count:.1f} {unit}" if count < _DECIMALS_BELOW else f"{count:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def local(text: str) -> datetime:
    """Return a time in the local time zone; as it is, if it is too far away for that."""
    at = datetime.fromisoformat(text)
    try:
        return at.astimezone()
    except OverflowError:
        return at
