import re
from typing import Any

import pytest
from click.testing import CliRunner

from runtime.cli.__main__ import eyas
from runtime.cli.tail import line_of

FAILED: dict[str, Any] = {
    "id": "4c1f09f2",
    "function": "pay",
    "status": "failed",
    "error": {"type": "ValueError", "message": "no"},
    "attempt": 2,
    "max_attempts": 2,
    "accepted_at": "2026-11-23T09:14:02.113000Z",
    "due_at": None,
    "started_at": "2026-11-23T09:14:03.113000Z",
    "finished_at": "2026-11-23T09:14:03.141000Z",
    "queue_wait_ms": 1000.0,
    "run_ms": 28.0,
}


def test_a_line_has_what_one_wants_to_know() -> None:
    line = line_of(FAILED)

    assert re.fullmatch(
        r"\d\d:14:03\.141  failed     pay  4c1f09f2  attempt 2  ran 28 ms  ValueError: no", line
    )


def test_what_runs_says_how_long_it_has_waited() -> None:
    running = FAILED | {"status": "running", "finished_at": None, "run_ms": None, "attempt": 1}

    # The error is the one of the attempt before.
    assert line_of(running).endswith("running    pay  4c1f09f2  waited 1 s")


def test_hostile_texts_stay_on_their_line_and_move_no_cursor() -> None:
    hostile = "\x1b[2J\u2028\rowned\nsecond"
    error = {"type": hostile, "message": hostile}
    line = line_of(FAILED | {"function": hostile, "id": hostile, "error": error}, has_colors=False)

    assert line.isprintable()
    assert len(line.splitlines()) == 1


def test_a_long_message_loses_its_end() -> None:
    line = line_of(FAILED | {"error": {"type": "E", "message": "x" * 500}})

    assert line.endswith(f"  E: {'x' * 197}…")


def test_colours_are_for_terminals() -> None:
    assert "\x1b[31mfailed" in line_of(FAILED, has_colors=True)
    assert "\x1b" not in line_of(FAILED)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--status", "done"), "'done' is none of queued, running"),
        (("--status", "failed", "--all"), "--all is every status"),
        (("--url", "http://127.0.0.1:9"), "no stack answers at http://127.0.0.1:9"),
    ],
)
def test_what_cannot_be_followed_is_said(arguments: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(eyas, ["tail", *arguments])

    assert result.exit_code != 0
    assert said in result.output
