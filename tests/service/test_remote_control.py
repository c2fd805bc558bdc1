"""Celery's remote control of attempts that Celery has not made."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import celery
import pytest

from runtime.testing import Stack
from tests.asking import accept, accept_all, ended, lines, logged, record

SAMPLE_FUNCTIONS = Path(__file__).parent.parent / "sample_functions"


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack(functions_dir=SAMPLE_FUNCTIONS, environment={"EYAS_WORKERS": "1"}) as stack:
        yield stack


@pytest.fixture
def client(stack: Stack) -> Iterator[celery.Celery]:
    app = celery.Celery(broker=stack.redis_url, backend=stack.redis_url)
    yield app
    app.close()
    app.backend.result_consumer.stop()


def control(stack: Stack, client: celery.Celery, command: str, *args: Any, **options: Any) -> None:
    """Tell the worker something, and return when it has said that it is so."""

    def is_heard() -> bool:
        replies = getattr(client.control, command)(*args, **options, reply=True, timeout=2)
        return bool(replies) and "ok" in next(iter(replies[0].values()))

    stack.wait_for(is_heard, f"an answer to {command}")


def only(replies: Any) -> Any:
    assert replies, "no worker answered"
    (answer,) = replies.values()
    return answer


def running(stack: Stack, name: str, payload: Any) -> str:
    invocation_id = accept(stack, name, payload)
    stack.wait_for(lambda: record(stack, invocation_id, wait=0)["status"] == "running", "it to run")
    return invocation_id


def test_what_runs_and_what_waits_is_listed_and_found(
    stack: Stack, client: celery.Celery, tmp_path: Path
) -> None:
    marker = tmp_path / "starts"
    busy = running(stack, "sleep", {"seconds": 20, "marker": str(marker)})
    awaiting = running(stack, "nap", {"seconds": 20})
    # From Celery, and so not fresh: its payload is in the record only.
    waiting = client.send_task("tick", kwargs={"seconds": 0.0}).id
    inspect = client.control.inspect(timeout=3)

    def reserved() -> list[Any]:
        return [one["id"] for one in only(inspect.reserved())]

    stack.wait_for(lambda: waiting in reserved(), "it to be reserved", seconds=10)
    active = {one["id"]: one for one in only(inspect.active())}
    assert set(active) == {busy, awaiting}
    assert active[busy]["kwargs"] == {"seconds": 20, "marker": str(marker)}
    assert active[busy]["worker_pid"] == int(marker.read_text())
    assert abs(active[busy]["time_start"] - time.time()) < 15
    found = only(inspect.query_task(busy, waiting, "unknown"))
    assert {one: found[one][0] for one in found} == {busy: "active", waiting: "reserved"}
    for one in (busy, awaiting):
        stack.request(f"/invocations/{one}", method="DELETE")


def test_a_rate_limit_holds_and_holds_nobody_else_back(
    stack: Stack, client: celery.Celery, tmp_path: Path
) -> None:
    marker = tmp_path / "noted"
    control(stack, client, "rate_limit", "tick", "2/s")
    started = time.monotonic()
    ids = accept_all(stack, "tick", [{"marker": str(marker)}] * 8)

    ended(stack, accept_all(stack, "nested", [{}] * 50), within=2)

    assert len(lines(marker)) < 8
    ended(stack, ids)
    assert time.monotonic() - started > 2
    control(stack, client, "rate_limit", "tick", "1/h")
    held = accept_all(stack, "tick", [{}] * 10)
    ended(stack, accept_all(stack, "nested", [{}] * 50), within=2)
    control(stack, client, "rate_limit", "tick", 0)
    ended(stack, held, within=5)


def test_a_time_limit_set_from_outside_is_kept(stack: Stack, client: celery.Celery) -> None:
    control(stack, client, "time_limit", "sleep", hard=1)

    (shown,) = ended(stack, [accept(stack, "sleep", {"seconds": 30})], status="failed")

    assert shown["error"]["type"] == "Timeout"
    assert 900 < shown["run_ms"] < 3000


def test_a_time_limit_without_a_hard_one_leaves_the_functions_own(
    stack: Stack, client: celery.Celery
) -> None:
    control(stack, client, "time_limit", "hang_in_sleep", soft=10)

    (shown,) = ended(stack, [accept(stack, "hang_in_sleep")], status="failed")

    assert shown["error"]["type"] == "Timeout"
    assert logged(stack, lambda one: one["event"] == "worker.restarting") == []


@pytest.mark.parametrize("name", ["sleep", "nap", "doze"])
def test_a_revoked_one_is_stopped_if_the_program_says_so(
    stack: Stack, client: celery.Celery, name: str
) -> None:
    invocation_id = running(stack, name, {"seconds": 3})
    client.control.revoke(invocation_id)
    ended(stack, [invocation_id])

    invocation_id = running(stack, name, {"seconds": 30})
    client.control.revoke(invocation_id, terminate=True)
    (shown,) = ended(stack, [invocation_id], within=5, status="cancelled")
    assert shown["run_ms"] < 5000


def test_every_ending_is_told_to_whoever_listens_to_events(
    stack: Stack, client: celery.Celery
) -> None:
    control(stack, client, "enable_events")
    endings = {
        accept(stack, "fail"): "failed",
        accept(stack, "impatient"): "expired",
        accept(stack, "nap_too_long"): "failed",
        accept(stack, "tick"): "succeeded",
    }

    for invocation_id, status in endings.items():
        assert record(stack, invocation_id)["status"] == status
    assert logged(stack, lambda one: one["level"] == "error" and "attempt" not in one) == []
    assert logged(stack, lambda one: one["event"] == "worker.restarting") == []
