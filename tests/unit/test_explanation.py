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


GIVEN_UP = FIRST_FAILED | {"what": "given_up", "reason": "RetriesExhausted"}
REDRIVEN = {"at": at(70), "what": "redriven"}
CANCELLING = {"at": at(2), "what": "cancelling"}


def test_every_attempt_is_told_after_a_redrive() -> None:
    second = FIRST_FAILED | {"attempt": 2, "started_at": at(62), "at": at(63)}
    given_up = second | {"what": "given_up", "reason": "RetriesExhausted"}
    text = told(**SUCCEEDED | {"attempt": 3}, history=[FIRST_FAILED, given_up, REDRIVEN])

    assert (
        f"Attempt 2 began at {clock(62)} and failed 1 s later: ValueError: no. "
        "It was given up, because it has no attempts left.\n"
        f"At {clock(70)} it was taken out of the dead letters and queued again."
    ) in text
    assert f"Attempt 3 began at {clock(0.012)}.\n" in text
    assert [text.count(f"Attempt {number} began") for number in (1, 2, 3)] == [1, 1, 1]


def test_one_that_was_never_to_be_retried_has_used_up_nothing() -> None:
    assert "because it has no retries." in told(history=[GIVEN_UP, REDRIVEN])
    ended = {
        **SUCCEEDED,
        "status": "failed",
        "error": {"type": "ValueError", "message": "no"},
        "dead_letter": "RetriesExhausted",
    }
    assert "given up, because it has no retries." in told(**ended)
    assert "given up, because it has no attempts left." in told(**ended | {"attempt": 2})


def test_a_poisonous_one_is_told_of_after_a_redrive() -> None:
    poison = {
        "at": at(9),
        "what": "given_up",
        "attempt": 1,
        "worker": WORKER,
        "started_at": at(1),
        "error": {"type": "Poison", "message": "its process died"},
        "reason": "Poison",
    }
    text = told(attempt=1, started_at=at(1), history=[LOST, poison, REDRIVEN])

    assert text.count("Attempt 1 began") == 1
    assert (
        f"At {clock(9)} it was given up, because it has killed its process too often: "
        "Poison: its process died."
    ) in text


@pytest.mark.parametrize(
    ("what", "ended"),
    [
        ("failed", "Attempt 1 failed after 4 s: ValueError: no. The next one was put off by "),
        ("lost", f"The process of attempt 1 died, or was killed, in {WORKER}; it was recovered at"),
    ],
)
def test_what_happens_during_an_attempt_is_told_in_the_order_of_time(what: str, ended: str) -> None:
    one = FIRST_FAILED | {"what": what, "started_at": at(1), "at": at(5)}
    text = told(**SUCCEEDED | {"attempt": 2, "started_at": at(6)}, history=[CANCELLING, one])

    lines = text.splitlines()
    assert lines[1] == f"Attempt 1 began at {clock(1)}."
    assert lines[2] == f"At {clock(2)} somebody asked to cancel it while it ran."
    assert lines[3].startswith(ended)
    assert lines[4] == f"Attempt 2 began at {clock(6)}."


def test_one_that_is_cancelled_while_it_runs_began_before_that() -> None:
    running = SUCCEEDED | {"status": "running", "finished_at": None, "run_ms": None}

    assert told(**running, history=[CANCELLING]).splitlines()[1:3] == [
        f"Attempt 1 began at {clock(0.012)}, 12 ms after it was accepted.",
        f"At {clock(2)} somebody asked to cancel it while it ran.",
    ]


def test_a_history_that_was_cut_says_so() -> None:
    cut = [FIRST_FAILED | {"attempt": number} for number in (31, 32)]

    text = told(**SUCCEEDED | {"attempt": 33}, history=cut)
    assert text.splitlines()[1] == "What happened before attempt 31 is not kept any more."
    assert "not kept" not in told(**SUCCEEDED | {"attempt": 2}, history=[FIRST_FAILED])
    assert "not kept" not in told()


def test_long_messages_lose_their_ends() -> None:
    error = {"type": "ValueError", "message": "é" * 300 + "\nmore"}
    failed = SUCCEEDED | {"status": "failed", "error": error, "dead_letter": "Permanent"}

    for text in (
        told(**failed),
        told(history=[FIRST_FAILED | {"error": error}]),
        told(history=[GIVEN_UP | {"error": error}]),
    ):
        assert f": ValueError: {'é' * 188}…" in text
        assert "more\n" not in text


def test_the_request_that_had_it_accepted_is_named() -> None:
    assert "pay was invoked over HTTP (request 5a7d), and accepted at" in told(request_id="5a7d")
