"""The story of an invocation, as a table of records and what is said of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runtime.cli.explanation import explain

START = datetime(2026, 11, 23, 8, 0, 0, tzinfo=UTC)
WORKER = "worker@here:77.1"


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def clock(seconds: float) -> str:
    local = (START + timedelta(seconds=seconds)).astimezone()
    return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03d}"


def told(*, workers: int | None = 1, now: float = 100.0, **members: Any) -> str:
    record = {
        "id": "id-1",
        "function": "pay",
        "status": "queued",
        "trigger": "http",
        "attempt": 0,
        "replay_of": None,
        "accepted_at": at(0),
        "due_at": None,
        "started_at": None,
        "finished_at": None,
        "queue_wait_ms": None,
        "run_ms": None,
    }
    lines = explain(record | members, now=START + timedelta(seconds=now), workers=workers)
    return "\n".join(lines)


FIRST_FAILED = {
    "at": at(2),
    "what": "failed",
    "attempt": 1,
    "worker": WORKER,
    "started_at": at(1),
    "due_at": at(62),
    "error": {"type": "ValueError", "message": "no"},
}
LOST = {
    "at": at(8.5),
    "what": "lost",
    "attempt": 1,
    "worker": WORKER,
    "started_at": at(1),
}
SUCCEEDED = {
    "status": "succeeded",
    "attempt": 1,
    "started_at": at(0.012),
    "finished_at": at(1.5),
    "queue_wait_ms": 12.0,
    "run_ms": 1488.0,
}


def test_one_that_went_well() -> None:
    assert told(**SUCCEEDED) == (
        f"pay was invoked over HTTP, and accepted at {clock(0)}.\n"
        f"Attempt 1 began at {clock(0.012)}, 12 ms after it was accepted.\n"
        f"It succeeded after 1.49 s, at {clock(1.5)}."
    )


def test_one_that_failed_before_it_succeeded() -> None:
    text = told(**SUCCEEDED | {"attempt": 2}, history=[FIRST_FAILED])

    assert (
        f"Attempt 1 began at {clock(1)} and failed 1 s later: ValueError: no. "
        f"The next one was put off by 1 min, until {clock(62)}."
    ) in text
    assert f"Attempt 2 began at {clock(0.012)}.\n" in text


def test_one_whose_worker_was_killed() -> None:
    text = told(**SUCCEEDED | {"attempt": 2}, history=[LOST])

    assert (
        f"Attempt 1 began at {clock(1)}. Its process died, or was killed, in {WORKER}; "
        f"it was recovered at {clock(8.5)}, 7.5 s later, into the queue."
    ) in text


def test_one_that_was_claimed_by_a_worker_that_died() -> None:
    never_began = {name: value for name, value in LOST.items() if name != "started_at"}

    assert f"The worker {WORKER} had claimed it for attempt 1, and died" in told(
        history=[never_began]
    )


def test_a_lost_attempt_is_told_once() -> None:
    text = told(
        status="failed",
        attempt=1,
        started_at=at(1),
        finished_at=at(9),
        queue_wait_ms=1000.0,
        run_ms=8000.0,
        error={"type": "Poison", "message": "its process died 1 times"},
        dead_letter="Poison",
        history=[LOST],
    )

    assert text.count("Attempt 1 began") == 1
    assert f"It failed, at {clock(9)}: Poison: its process died 1 times" in text
    assert "given up, because it has killed its process too often" in text
    assert "eyas dead-letters redrive id-1" in text


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"workers": 0}, "None does: is one started?"),
        ({}, "as soon as a worker has room for it. It was accepted 1 min 40 s ago."),
        ({"due_at": at(160), "delay_seconds": 160.0}, "attempt 1, in 1 min, at"),
        ({"due_at": at(99)}, "attempt 1, in no time, at"),
        ({"delay_seconds": 90.0}, "It was asked to wait 1 min 30 s before it runs."),
        ({"replay_of": "id-0"}, "as a replay of id-0."),
        ({"trigger": "schedule"}, "because its schedule said so"),
        ({"trigger": "new"}, "invoked by new"),
        (
            {"status": "running", "attempt": 1, "started_at": at(95), "queue_wait_ms": 95000.0},
            "It has been running for 5 s. Next: its end.",
        ),
        ({"history": [{"at": at(3), "what": "parked"}]}, "as its concurrency allows"),
        ({"history": [{"at": at(3), "what": "recovered"}]}, "in no queue"),
        ({"history": [{"at": at(3), "what": "redriven"}]}, "taken out of the dead letters"),
        ({"history": [{"at": at(3), "what": "cancelling"}]}, "asked to cancel it"),
        (
            {
                "status": "cancelled",
                "finished_at": at(4),
                "error": {"type": "Cancelled", "message": "cancelled while it waited"},
            },
            f"It was cancelled, at {clock(4)}: Cancelled: cancelled while it waited",
        ),
        (
            {"status": "retrying", "attempt": 1, "due_at": at(162), "history": [FIRST_FAILED]},
            "Next: attempt 2, in 1 min 2 s",
        ),
    ],
)
def test_what_is_said(members: dict[str, Any], said: str) -> None:
    assert said in told(**members)
