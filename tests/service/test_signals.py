"""Signals, stops and cut connections: an attempt is finished, or made again, and never half."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.testing import Stack
from tests.asking import accept, record
from tests.cutting import proxy
from tests.processes import is_alive

SAMPLE_FUNCTIONS = Path(__file__).parent.parent / "sample_functions"


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack(functions_dir=SAMPLE_FUNCTIONS, environment={"EYAS_WORKERS": "1"}) as stack:
        yield stack


def sleep(stack: Stack, marker: Path, seconds: float) -> str:
    """Start an attempt that sleeps, and return when it does."""
    starts = len(marker.read_text().split()) if marker.exists() else 0
    invocation_id = accept(stack, "sleep", {"seconds": seconds, "marker": str(marker)})
    stack.wait_for(
        lambda: marker.exists() and len(marker.read_text().split()) > starts, "the attempt"
    )
    return invocation_id


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL])
def test_whatever_ends_a_pool_process_its_invocation_is_run_again(
    stack: Stack, tmp_path: Path, number: signal.Signals
) -> None:
    marker = tmp_path / "starts"
    invocation_id = sleep(stack, marker, 1.5)

    os.kill(int(marker.read_text()), number)

    shown = record(stack, invocation_id)
    assert (shown["status"], shown["attempt"]) == ("succeeded", 2)


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGTERM])
def test_a_worker_that_is_stopped_hard_gives_its_attempt_back(
    stack: Stack, tmp_path: Path, number: signal.Signals
) -> None:
    marker = tmp_path / "starts"
    invocation_id = sleep(stack, marker, 2)
    worker = stack.running.pop("worker")

    # As systemd does by default, and whoever presses Ctrl-\\ : parent and children at once.
    os.kill(worker.pid, number)
    os.kill(int(marker.read_text()), number)

    worker.wait(20)
    stack.start("worker")
    shown = record(stack, invocation_id)
    assert (shown["status"], shown["attempt"]) == ("succeeded", 2)


def test_what_waits_in_a_worker_that_stops_goes_to_another_one(
    stack: Stack, tmp_path: Path
) -> None:
    sleep(stack, tmp_path / "starts", 8)
    waiting = accept(stack, "nested", {"a": 1})
    stack.start("worker", instance="other")
    stack.wait_for(lambda: stack.request("/readyz").body.get("workers") == 2, "the other worker")

    stack.running["worker"].send_signal(signal.SIGTERM)

    assert record(stack, waiting, wait=6)["status"] == "succeeded"
    assert stack.stop("worker") == 0


def test_what_is_cancelled_while_its_worker_stops_is_stopped(stack: Stack, tmp_path: Path) -> None:
    invocation_id = sleep(stack, tmp_path / "starts", 60)
    worker = stack.running.pop("worker")
    worker.send_signal(signal.SIGTERM)
    stack.wait_for(
        lambda: "worker.stopping" in (stack.log_dir / "worker.log").read_text(encoding="utf-8"),
        "the worker to stop",
    )

    assert stack.request(f"/invocations/{invocation_id}", method="DELETE").status == 202

    worker.wait(20)
    stack.start("worker")
    assert record(stack, invocation_id)["status"] == "cancelled"
    assert len((tmp_path / "starts").read_text().split()) == 1


def test_what_is_cancelled_before_it_fails_is_not_retried(stack: Stack, tmp_path: Path) -> None:
    marker = tmp_path / "starts"
    invocation_id = accept(stack, "fail_after", {"seconds": 0.3, "marker": str(marker)})
    stack.wait_for(marker.exists, "the attempt")

    assert stack.request(f"/invocations/{invocation_id}", method="DELETE").status == 202

    assert record(stack, invocation_id)["status"] == "cancelled"


def test_after_a_cut_connection_only_the_newer_attempt_goes_on(tmp_path: Path) -> None:
    marker = tmp_path / "starts"
    with Stack(functions_dir=SAMPLE_FUNCTIONS, environment={"EYAS_WORKERS": "1"}) as stack:
        stack.stop("worker")
        port = int(stack.redis_url.rpartition(":")[2].partition("/")[0])
        with proxy(port) as cut:
            stack._settings["REDIS_URL"] = f"redis://127.0.0.1:{cut.port}/0"
            stack.start("worker")
            del stack._settings["REDIS_URL"]
            stack.wait_until_ready()
            sleep(stack, marker, 25)
            first = int(marker.read_text())
            cut.off()
            stack.start("worker", instance="other")
            stack.wait_for(lambda: len(marker.read_text().split()) == 2, "a second attempt")
            cut.on()

            stack.wait_for(lambda: not is_alive(first), "the first attempt to be stopped")
        for name in ("worker", "other"):
            stack.kill(name)
