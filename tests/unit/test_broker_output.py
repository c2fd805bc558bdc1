import logging
from datetime import UTC, datetime

import pytest

from runtime.broker.output import Line, parse_line


@pytest.mark.parametrize(
    ("mark", "level"),
    [(".", logging.DEBUG), ("-", logging.DEBUG), ("*", logging.INFO), ("#", logging.WARNING)],
)
def test_a_line_says_how_severe_it_is(mark: str, level: int) -> None:
    line = parse_line(f"12:M 22 Nov 2026 19:21:29.123 {mark} Ready to accept\n".encode())
    assert line == Line(
        level, "Ready to accept", 12, datetime(2026, 11, 22, 19, 21, 29, 123_000, tzinfo=UTC)
    )


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (
            b"12:signal-handler (1795375557) Received SIGTERM\n",
            "12:signal-handler (1795375557) Received SIGTERM",
        ),
        (b"=== VALKEY BUG REPORT START\n", "=== VALKEY BUG REPORT START"),
        (b"\xff\xfe\n", r"\xff\xfe"),
        (b"", ""),
    ],
)
def test_a_line_of_another_form_is_its_own_message(raw: bytes, message: str) -> None:
    assert parse_line(raw) == Line(logging.INFO, message)


@pytest.mark.parametrize("date", ["31 Feb 2026", "22 Nox 2026"])
def test_a_line_with_an_impossible_date_has_no_time(date: str) -> None:
    line = parse_line(f"12:M {date} 19:21:29.123 # Out of memory".encode())
    assert line == Line(logging.WARNING, "Out of memory", 12)
