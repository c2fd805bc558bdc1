"""Attempts of `async def` handlers, many at a time in one process."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.testing import Stack
from tests.asking import accept, accept_all, ended, lines, logged, record

SAMPLE_FUNCTIONS = Path(__file__).parent.parent / "sample_functions"
LIMIT = 40


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    environment = {"EYAS_WORKERS": "1", "EYAS_ASYNC_ATTEMPTS": str(LIMIT)}
    with Stack(functions_dir=SAMPLE_FUNCTIONS, environment=environment) as stack:
        yield stack


def most_at_a_time(marker: Path) -> int:
    running = most = 0
    for line in lines(marker):
        running += 1 if line[0] == "begin" else -1
        most = max(most, running)
    return most


def crashes(stack: Stack) -> int:
    return len(logged(stack, lambda one: one["event"] == "executor.died"))


def naps(stack: Stack, marker: Path, count: int, *, seconds: float) -> list[str]:
    """Start so many naps, and return when all of them are under way."""
    ids = accept_all(stack, "nap", [{"seconds": seconds, "marker": str(marker)}] * count)
    stack.wait_for(lambda: len(lines(marker, "begin")) >= count, "all of them to begin")
    return ids


def test_many_async_handlers_wait_at_a_time_up_to_the_limit(stack: Stack, marker: Path) -> None:
    started = time.monotonic()
    ids = accept_all(stack, "nap", [{"seconds": 0.5, "marker": str(marker)}] * (3 * LIMIT))

    shown = ended(stack, ids)

    assert time.monotonic() - started < 10, "60 s if one waited for the other"
    assert most_at_a_time(marker) == LIMIT
    assert [one["result"] for one in shown] == ids, "each was told its own id"
    assert {one["attempt"] for one in shown} == {1}
    assert len({line[3] for line in lines(marker, "begin")}) == 1, "in one process"


def test_an_async_handler_is_cancelled_at_its_timeout_and_its_process_stays(
    stack: Stack, marker: Path
) -> None:
    before = crashes(stack)
    beside = naps(stack, marker, 5, seconds=3)
    (shown,) = ended(stack, [accept(stack, "nap_too_long")], status="failed")

    assert shown["error"]["type"] == "Timeout"
    assert 900 < shown["run_ms"] < 2500
    assert {one["attempt"] for one in ended(stack, beside)} == {1}
    assert crashes(stack) == before


@pytest.mark.parametrize("name", ["never_give_up", "hang_async"])
def test_one_that_cannot_be_cancelled_costs_the_others_a_new_attempt_and_no_more(
    stack: Stack, marker: Path, name: str
) -> None:
    before = crashes(stack)
    beside = naps(stack, marker, 5, seconds=3.5)
    (shown,) = ended(stack, [accept(stack, name)], status="failed")

    assert shown["error"]["type"] == "Timeout"
    assert {one["attempt"] for one in ended(stack, beside)} == {2}
    assert crashes(stack) == before, "stopped on purpose"


def test_cancelling_one_async_attempt_leaves_the_others_alone(stack: Stack, marker: Path) -> None:
    ids = naps(stack, marker, 6, seconds=4)
    chosen, others = ids[2], ids[:2] + ids[3:]

    assert stack.request(f"/invocations/{chosen}", method="DELETE").status == 202

    shown = record(stack, chosen)
    assert (shown["status"], shown["attempt"]) == ("cancelled", 1)
    assert [line[1] for line in lines(marker, "cancelled")] == [chosen]
    assert {one["attempt"] for one in ended(stack, others)} == {1}


def test_one_that_cancels_itself_has_failed(stack: Stack) -> None:
    for awaits in (True, False):
        shown = record(stack, accept(stack, "cancel_itself", {"awaits": awaits}), wait=10)
        # Without another await the cancellation never comes to pass.
        assert shown["status"] == ("failed" if awaits else "succeeded")


def test_what_async_handlers_print_at_the_same_time_is_not_mixed_up(stack: Stack) -> None:
    ids = accept_all(stack, "murmur", [{"lines": 20}] * 10)
    ended(stack, ids)

    for one in ids:
        said = logged(stack, lambda line, one=one: line.get("invocation_id") == one)  # type: ignore[misc]
        printed = [line["text"] for line in said if line["event"] == "handler.output"]
        assert printed == [f"{one} {number} said" for number in range(20)]
        assert [line["attempt"] for line in said if line["event"] == "murmur.ended"] == [1]
        assert {line["function"] for line in said} == {"murmur"}


def test_the_innocent_beside_one_that_kills_its_process_succeed(stack: Stack, marker: Path) -> None:
    beside = naps(stack, marker, 5, seconds=1.5)
    guilty = accept(stack, "die_async", {"marker": str(marker), "others": 5})

    (shown,) = ended(stack, [guilty], status="failed")

    assert shown["error"]["type"] == "Poison"
    # After the second time, what was there runs by itself.
    assert {one["attempt"] for one in ended(stack, beside)} == {3}


def test_an_async_handler_puts_things_in_order_at_its_soft_timeout(
    stack: Stack, marker: Path
) -> None:
    shown = record(stack, accept(stack, "tidy_async", {"marker": str(marker)}))

    assert "soft timeout of 0.3 seconds" in shown["error"]["message"]
    assert len(lines(marker)) == 1
