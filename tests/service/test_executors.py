"""Executors of a worker, one attempt after the other: who waits for whom, and what a kill costs."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from runtime.testing import Stack
from tests.asking import accept, accept_all, assert_conserved, ended, lines, logged, record
from tests.chaos.supervisor import children_of
from tests.processes import is_alive

SAMPLE_FUNCTIONS = Path(__file__).parent.parent / "sample_functions"


@pytest.fixture(scope="module")
def shared_stack() -> Iterator[Stack]:
    environment = {"EYAS_WORKERS": "2", "EYAS_MAX_PAYLOAD_BYTES": "6000000"}
    with Stack(functions_dir=SAMPLE_FUNCTIONS, environment=environment) as stack:
        yield stack


@pytest.fixture
def stack() -> Iterator[Stack]:
    """One that a test may break."""
    with Stack(functions_dir=SAMPLE_FUNCTIONS, environment={"EYAS_WORKERS": "2"}) as stack:
        yield stack


def warm(stack: Stack) -> None:
    """Let the worker learn that these are quick."""
    for name in ("tick", "nested"):
        ended(stack, accept_all(stack, name, [{}] * 50))


def runs(marker: Path) -> Counter[str]:
    return Counter(line[0] for line in lines(marker))


def pids(marker: Path) -> set[int]:
    return {int(line[1]) for line in lines(marker)}


def burst(stack: Stack, marker: Path, count: int) -> list[str]:
    """Send many quick ones, and return when some have run."""
    payload = {"marker": str(marker), "seconds": 0.001}
    ids = [
        one
        for sent in range(0, count, 1000)
        for one in accept_all(stack, "tick", [payload] * min(1000, count - sent))
    ]
    stack.wait_for(lambda: len(lines(marker)) > count // 10, "some of the burst")
    return ids


def test_a_slow_invocation_holds_back_none_of_many_quick_ones(shared_stack: Stack) -> None:
    warm(shared_stack)
    slow = accept(shared_stack, "sleep", {"seconds": 5})
    started = time.monotonic()

    ended(shared_stack, accept_all(shared_stack, "tick", [{}] * 200))

    assert time.monotonic() - started < 2
    assert record(shared_stack, slow, wait=0)["status"] == "running"
    ended(shared_stack, [slow])


def test_one_that_turns_out_slow_gives_up_those_behind_it(
    shared_stack: Stack, marker: Path
) -> None:
    warm(shared_stack)
    payloads = [{"seconds": 3 if number == 5 else 0, "marker": str(marker)} for number in range(99)]
    started = time.monotonic()
    ids = accept_all(shared_stack, "tick", payloads)

    ended(shared_stack, ids[:5] + ids[6:])

    assert time.monotonic() - started < 2
    ended(shared_stack, ids)
    assert set(runs(marker).values()) == {1}


@pytest.mark.parametrize("size_bytes", [30_000, 40_000])
def test_payloads_that_fill_the_sockets_pass(shared_stack: Stack, size_bytes: int) -> None:
    warm(shared_stack)
    payload = {"text": "x" * size_bytes}
    ids = [one for _ in range(16) for one in accept_all(shared_stack, "nested", [payload] * 25)]

    shown = ended(shared_stack, ids, within=20)

    assert all(one["result"] == payload for one in shown)


def test_payload_and_result_may_have_megabytes(shared_stack: Stack) -> None:
    text = "x" * 3_000_000
    ids = [accept(shared_stack, "nested", {"text": text}) for _ in range(4)]
    large = accept_all(shared_stack, "large", [{"bytes_": 3_000_000}] * 40)

    assert all(one["result"] == {"text": text} for one in ended(shared_stack, ids))
    assert all(len(one["result"]) == 3_000_000 for one in ended(shared_stack, large))


def test_progress_of_an_attempt_is_seen_while_it_runs(shared_stack: Stack, tmp_path: Path) -> None:
    payload = {"total": 3, "marker": str(tmp_path / "end")}
    invocation_id = accept(shared_stack, "count_up", payload)
    shared_stack.wait_for(
        lambda: record(shared_stack, invocation_id, wait=0).get("progress") is not None, "progress"
    )
    assert record(shared_stack, invocation_id, wait=0)["status"] == "running"
    (tmp_path / "end").touch()

    (shown,) = ended(shared_stack, [invocation_id])

    assert (shown["progress"]["done"], shown["progress"]["message"]) == (3, "done")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_handler_may_compute_in_processes_of_its_own(shared_stack: Stack, method: str) -> None:
    payload = {"numbers": [-1, 2, -3], "method": method}

    assert shared_stack.invoke("compute_apart", payload) == [1, 2, 3]


def test_a_dead_process_is_noticed_though_a_child_of_it_lives_on(
    shared_stack: Stack, marker: Path
) -> None:
    started = time.monotonic()
    payload = {"seconds": 15, "marker": str(marker)}
    (shown,) = ended(shared_stack, [accept(shared_stack, "leave_a_child", payload)])

    assert (shown["result"], shown["attempt"]) == ("again", 2)
    assert time.monotonic() - started < 5
    for line in lines(marker):
        os.kill(int(line[0]), signal.SIGKILL)


@pytest.fixture
def warmed(stack: Stack, tmp_path: Path) -> list[int]:
    """The two processes that run `tick`."""
    marker = tmp_path / "warmed"
    while len(pids(marker)) < 2:
        ended(stack, accept_all(stack, "tick", [{"marker": str(marker), "seconds": 0.02}] * 4))
    # They are known to be quick, and so many are handed to each at a time.
    for _ in range(6):
        warm(stack)
    return sorted(pids(marker))


@pytest.fixture
def suspended(stack: Stack, warmed: list[int]) -> Iterator[list[int]]:
    """All processes that run handlers, of each kind, which the system does not let run."""
    ended(stack, [accept(stack, "nap", {"seconds": 0})])
    found: list[int] = children_of(stack.running["worker"].pid)
    for pid in found:
        os.kill(pid, signal.SIGSTOP)
    yield found
    for pid in found:
        if is_alive(pid):
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize(("name", "payload"), [("tick", {}), ("nap", {"seconds": 0})])
def test_what_a_process_has_not_begun_for_want_of_time_is_not_counted_as_an_attempt(
    stack: Stack, suspended: list[int], name: str, payload: dict[str, float]
) -> None:
    ids = accept_all(stack, name, [payload] * 6)
    assert {record(stack, ids[0], wait=1)["status"] for _ in range(2)} == {"queued"}

    for pid in suspended:
        os.kill(pid, signal.SIGCONT)

    assert {one["attempt"] for one in ended(stack, ids)} == {1}


def test_what_has_not_begun_is_cancelled_without_having_run(
    stack: Stack, suspended: list[int], marker: Path
) -> None:
    ids = accept_all(stack, "tick", [{"marker": str(marker)}] * 6)

    stack.request(f"/invocations/{ids[0]}", method="DELETE")

    shown = record(stack, ids[0])
    assert (shown["status"], shown["attempt"]) == ("cancelled", 0)
    for pid in suspended:
        os.kill(pid, signal.SIGCONT)
    assert {one["attempt"] for one in ended(stack, ids[1:])} == {1}
    assert runs(marker) == Counter(ids[1:])


@pytest.mark.parametrize(("name", "payload"), [("tick", {}), ("nap", {"seconds": 0})])
def test_a_process_that_begins_nothing_for_long_is_replaced(
    stack: Stack, suspended: list[int], name: str, payload: dict[str, float]
) -> None:
    ids = accept_all(stack, name, [payload] * 6)

    assert {one["attempt"] for one in ended(stack, ids)} == {1}
    stuck = logged(stack, lambda line: line["event"] == "executor.stuck")
    assert {line["executor_pid"] for line in stuck} <= set(suspended)
    assert stuck


def test_cancelling_others_does_not_put_off_the_end_of_a_stuck_process(
    stack: Stack, suspended: list[int]
) -> None:
    assert suspended
    waiting = accept(stack, "tick", {})
    deadline = time.monotonic() + 40

    while record(stack, waiting, wait=1)["status"] == "queued":
        for other in accept_all(stack, "tick", [{}] * 4):
            stack.request(f"/invocations/{other}", method="DELETE")
        assert time.monotonic() < deadline

    assert record(stack, waiting)["attempt"] == 1


def test_what_a_suspended_process_holds_is_run_by_the_others(
    stack: Stack, suspended: list[int], warmed: list[int]
) -> None:
    assert set(warmed) <= set(suspended)
    ids = accept_all(stack, "tick", [{}] * 60)
    record(stack, ids[0], wait=1)

    os.kill(warmed[0], signal.SIGCONT)

    stack.wait_for(
        lambda: sum(record(stack, one, wait=0)["status"] == "succeeded" for one in ids) >= 59,
        "all but the one that the suspended process was given first",
        seconds=6,
    )
    assert not logged(stack, lambda line: line["event"] == "executor.stuck")


def test_nothing_is_claimed_again_and_again_while_nothing_begins(
    stack: Stack, suspended: list[int]
) -> None:
    assert suspended
    ids = accept_all(stack, "tick", [{}] * 1000)
    with redis.Redis.from_url(stack.redis_url) as connection:
        before = connection.info("stats")["total_commands_processed"]
        record(stack, ids[0], wait=2)
        commands = connection.info("stats")["total_commands_processed"] - before

    assert commands < 3000


def test_what_stands_behind_a_stop_has_not_begun(stack: Stack, suspended: list[int]) -> None:
    for pid in suspended:
        os.kill(pid, signal.SIGCONT)
    first = accept(stack, "nap", {"seconds": 60})
    stack.wait_for(lambda: record(stack, first, wait=0)["status"] == "running", "the first")
    for pid in suspended:
        os.kill(pid, signal.SIGSTOP)
    stack.request(f"/invocations/{first}", method="DELETE")
    stack.wait_for(
        lambda: logged(stack, lambda line: line["event"] == "attempt.cancelled") != [], "the stop"
    )

    behind = accept_all(stack, "nap", [{"seconds": 0}] * 3)

    assert {one["attempt"] for one in ended(stack, behind)} == {1}
    assert record(stack, first)["status"] == "cancelled"


def test_a_coroutine_that_does_not_end_when_it_is_cancelled_is_ended(stack: Stack) -> None:
    stubborn = accept(stack, "never_give_up")
    stack.wait_for(lambda: record(stack, stubborn, wait=0)["status"] == "running", "it")

    stack.request(f"/invocations/{stubborn}", method="DELETE")

    assert record(stack, stubborn)["status"] == "cancelled"


def test_what_waits_behind_slow_ones_goes_to_another_worker(stack: Stack, marker: Path) -> None:
    warm(stack)
    slow = accept_all(stack, "sleep", [{"seconds": 6}] * 2)
    stack.wait_for(lambda: record(stack, slow[1], wait=0)["status"] == "running", "the slow ones")
    quick = accept_all(stack, "tick", [{"marker": str(marker)}] * 100)
    stack.start("worker", instance="other")
    stack.wait_for(lambda: stack.request("/readyz").body.get("workers") == 2, "the other worker")

    ended(stack, quick[2:], within=3)

    assert record(stack, slow[0], wait=0)["status"] == "running"
    ended(stack, slow + quick)
    assert set(runs(marker).values()) == {1}


def test_slow_ones_that_were_thought_quick_are_shared_with_another_worker(
    stack: Stack, marker: Path
) -> None:
    stack.start("worker", instance="other")
    stack.wait_for(lambda: stack.request("/readyz").body.get("workers") == 2, "the other worker")
    for _ in range(4):
        warm(stack)
    started = time.monotonic()

    ended(stack, accept_all(stack, "tick", [{"seconds": 0.3, "marker": str(marker)}] * 60))

    # 4.5 s if all four processes work all the time, and 9 s if one worker keeps them to itself.
    assert time.monotonic() - started < 7.5
    assert len(pids(marker)) == 4


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_executor_loses_none_of_a_burst(
    stack: Stack, marker: Path, number: signal.Signals
) -> None:
    ids = burst(stack, marker, 2000)
    killed = pids(marker)
    for pid in killed:
        os.kill(pid, number)

    shown = ended(stack, ids, within=60)

    assert {one["attempt"] for one in shown} <= {1, 2}
    again = [one for one, times in runs(marker).items() if times > 1]
    assert len(again) <= len(killed), "one that had just ended, of each process that was killed"
    assert sorted(runs(marker)) == sorted(ids)
    assert not any(map(is_alive, killed))
    assert_conserved(stack)


def test_a_broker_that_is_killed_loses_none_of_a_burst(stack: Stack, marker: Path) -> None:
    ids = burst(stack, marker, 2000)
    server = stack.running["broker"]
    stack.kill("broker")
    assert server.poll() is not None
    known = len(lines(marker))
    # What executors have in their hands is run meanwhile.
    stack.start("broker")

    shown = ended(stack, ids, within=60)

    assert len(lines(marker)) >= known
    assert {one["attempt"] for one in shown} <= {1, 2}
    assert set(runs(marker).values()) == {1}, "outcomes are kept until they can be stored"
    assert_conserved(stack)


def test_a_worker_that_stops_softly_amid_a_burst_runs_nothing_twice(
    stack: Stack, marker: Path
) -> None:
    ids = burst(stack, marker, 2000)
    assert stack.stop("worker") == 0
    done = len(lines(marker))
    assert done < 2000, "it was too late for this test"
    stack.start("worker")

    ended(stack, ids, within=60)

    assert set(runs(marker).values()) == {1}
    assert_conserved(stack)
