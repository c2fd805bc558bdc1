"""Attempts of handlers that wait in threads, many at a time in one process."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.testing import Stack
from tests.asking import accept, accept_all, ended, lines, logged, record

SAMPLE_FUNCTIONS = Path(__file__).parent.parent / "sample_functions"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(functions_dir=SAMPLE_FUNCTIONS, environment={"EYAS_WORKERS": "1"}) as stack:
        yield stack


def dozing(stack: Stack, marker: Path, count: int, *, seconds: float) -> list[str]:
    """Start so many, and return when all of them are under way."""
    ids = accept_all(stack, "doze", [{"seconds": seconds, "marker": str(marker)}] * count)
    stack.wait_for(lambda: len(lines(marker, "begin")) >= count, "all of them to begin")
    return ids


def test_as_many_run_in_threads_at_a_time_as_the_function_says(stack: Stack, marker: Path) -> None:
    ids = accept_all(stack, "doze", [{"seconds": 0.3, "marker": str(marker)}] * 24)
    ended(stack, ids)

    running = most = 0
    for line in sorted(lines(marker), key=lambda line: float(line[1])):
        running += 1 if line[0] == "begin" else -1
        most = max(most, running)
    assert most == 8
    assert len({line[2] for line in lines(marker, "begin")}) == 1, "in one process"


def test_a_timeout_in_a_thread_ends_the_process_and_the_others_run_again(
    stack: Stack, marker: Path
) -> None:
    beside = dozing(stack, marker, 3, seconds=4)
    (shown,) = ended(stack, [accept(stack, "doze_too_long")], status="failed")

    assert shown["error"]["type"] == "Timeout"
    assert {one["result"] for one in ended(stack, beside)} == {2}
    assert logged(stack, lambda one: one["event"] == "executor.died") == []


def test_threads_that_hang_are_not_used_up(stack: Stack) -> None:
    for _ in range(2):
        ids = accept_all(stack, "doze_too_long", [{}] * 8)
        assert {one["error"]["type"] for one in ended(stack, ids, status="failed")} == {"Timeout"}

    started = time.monotonic()
    ended(stack, accept_all(stack, "doze", [{"seconds": 0.1}] * 8))
    assert time.monotonic() - started < 5


def test_cancelling_an_attempt_in_a_thread_stops_it(stack: Stack, marker: Path) -> None:
    (chosen,) = dozing(stack, marker, 1, seconds=60)
    pid = int(lines(marker, "begin")[0][2])

    assert stack.request(f"/invocations/{chosen}", method="DELETE").status == 202

    assert record(stack, chosen)["status"] == "cancelled"
    stack.wait_for(lambda: not Path(f"/proc/{pid}").exists(), "its process to end")
    ended(stack, [accept(stack, "doze", {"seconds": 0})])


@pytest.mark.parametrize("kind", ["StopIteration", "SystemExit", "KeyboardInterrupt"])
def test_whatever_is_raised_in_a_thread_is_a_function_error(stack: Stack, kind: str) -> None:
    shown = record(stack, accept(stack, "raise_in_thread", {"kind": kind}))

    assert (shown["status"], shown["error"]["type"]) == ("failed", kind)
    assert shown["attempt"] == 1


def test_a_child_forked_in_a_thread_does_not_take_over(stack: Stack) -> None:
    shown = record(stack, accept(stack, "fork_in_thread"), wait=10)

    assert (shown["status"], shown.get("result")) == ("succeeded", "parent")


def test_a_function_whose_threads_are_taken_holds_no_other_back(stack: Stack) -> None:
    slow = accept_all(stack, "doze_alone", [{"seconds": 3}] * 3)
    started = time.monotonic()

    ended(stack, accept_all(stack, "doze", [{"seconds": 0.01}] * 20))

    assert time.monotonic() - started < 2
    ended(stack, slow)
