"""Times as the broker has them, microseconds since the Unix epoch, for people and programs."""

from datetime import UTC, datetime


def between_ms(start_us: int | None, end_us: int | None) -> float | None:
    """Milliseconds between two times in microseconds; None while one of them is not known."""
    return None if start_us is None or end_us is None else (end_us - start_us) / 1000


def rfc3339(at_us: int | None) -> str | None:
    """Return a time in UTC as RFC 3339 writes it."""
    if at_us is None:
        return None
    at = datetime.fromtimestamp(at_us // 1_000_000, UTC).replace(microsecond=at_us % 1_000_000)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
