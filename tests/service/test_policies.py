"""Retries, delays, age, cancelling, progress: what happens beside a plain attempt."""

import json
import time
from pathlib import Path
from typing import Any

import celery
import pytest

from runtime.testing import FunctionFailedError, Stack
from tests.processes import is_alive


def accept(stack: Stack, name: str, payload: Any = None, **headers: str) -> str:
    answer = stack.request(
        f"/functions/{name}", body=json.dumps(payload or {}).encode(), headers=headers
    )
    assert answer.status == 202, answer.raw
    invocation_id: str = answer.body["id"]
    return invocation_id


def record(stack: Stack, invocation_id: str, *, wait: int | None = None) -> dict[str, Any]:
    headers = {"Prefer": f"wait={wait}"} if wait else {}
    body: dict[str, Any] = stack.request(f"/invocations/{invocation_id}", headers=headers).body
    return body


def failed_record(stack: Stack, name: str, payload: Any = None) -> dict[str, Any]:
    with pytest.raises(FunctionFailedError) as caught:
        stack.invoke(name, payload, seconds=40)
    return record(stack, caught.value.problem["invocation_id"])


def test_a_function_error_is_retried(sample_stack: Stack) -> None:
    assert sample_stack.invoke("flaky", {"until_attempt": 3}) == 3


def test_a_retried_invocation_is_retrying_meanwhile(sample_stack: Stack) -> None:
    invocation_id = accept(sample_stack, "patient")

    sample_stack.wait_for(
        lambda: record(sample_stack, invocation_id)["status"] == "retrying", "the first failure"
    )
    shown = record(sample_stack, invocation_id)

    assert (shown["attempt"], shown["max_attempts"]) == (1, 4)
    assert shown["error"]["type"] == "ConnectionError"
    assert shown["due_at"] > shown["started_at"]
    assert sample_stack.request(f"/status/{invocation_id}").body["status"] == "RETRY"
    sample_stack.request(f"/invocations/{invocation_id}", method="DELETE")


def test_retries_end(sample_stack: Stack) -> None:
    shown = failed_record(sample_stack, "flaky", {"until_attempt": 9})

    assert (shown["attempt"], shown["max_attempts"]) == (4, 4)
    assert shown["error"]["message"] == "attempt 4 fails"
    assert (shown["status"], shown["dead_letter"]) == ("failed", "RetriesExhausted")


def test_a_permanent_error_is_not_retried(sample_stack: Stack) -> None:
    shown = failed_record(sample_stack, "sold_out")

    assert (shown["attempt"], shown["dead_letter"]) == (1, "Permanent")
    assert shown["error"]["type"] == "SoldOutError"


@pytest.mark.parametrize(
    ("kind", "attempts", "reason"),
    [("connection", 4, "RetriesExhausted"), ("value", 1, "Permanent")],
)
def test_only_what_retry_on_names_is_retried(
    sample_stack: Stack, kind: str, attempts: int, reason: str
) -> None:
    shown = failed_record(sample_stack, "picky", {"kind": kind})

    assert (shown["attempt"], shown["dead_letter"]) == (attempts, reason)


def test_a_handler_chooses_when_it_is_run_again(sample_stack: Stack) -> None:
    started = time.monotonic()

    assert sample_stack.invoke("ask", {"after": 0.5}) == 2
    assert 0.5 < time.monotonic() - started < 20


def test_an_attempt_that_was_stopped_is_retried(sample_stack: Stack) -> None:
    assert sample_stack.invoke("hang_once") == 2


def test_what_is_too_old_is_not_run(sample_stack: Stack) -> None:
    invocation_id = accept(sample_stack, "perishable", **{"Eyas-Delay": "1.5"})

    shown = record(sample_stack, invocation_id, wait=20)

    assert (shown["status"], shown["dead_letter"]) == ("expired", "Expired")
    assert shown["attempt"] == 0
    assert shown["error"]["type"] == "Expired"


def test_a_retry_that_would_come_too_late_is_not_waited_for(sample_stack: Stack) -> None:
    shown = failed_record(sample_stack, "impatient")

    assert (shown["status"], shown["dead_letter"]) == ("expired", "Expired")
    assert shown["attempt"] == 1


def test_a_delayed_invocation_waits_for_its_time_in_the_broker(sample_stack: Stack) -> None:
    started = time.monotonic()
    invocation_id = accept(sample_stack, "nested", {"a": 1}, **{"Eyas-Delay": "1"})

    shown = record(sample_stack, invocation_id)
    assert shown["status"] == "queued"
    assert shown["due_at"] > shown["accepted_at"]
    assert record(sample_stack, invocation_id, wait=20)["result"] == {"a": 1}
    assert time.monotonic() - started > 1


def test_a_delayed_invocation_survives_everything(tmp_path: Path) -> None:
    functions = Path(__file__).parent.parent / "sample_functions"
    with Stack(functions_dir=functions, environment={"EYAS_WORKERS": "1"}) as stack:
        delayed = accept(stack, "nested", {"a": 1}, **{"Eyas-Delay": "4"})
        retried = accept(stack, "ask", {"after": 4})
        stack.wait_for(lambda: record(stack, retried)["status"] == "retrying", "the first attempt")
        for name in list(stack.running):
            stack.kill(name)
        for name in stack.processes:
            stack.start(name)
        stack.wait_until_ready()

        assert record(stack, delayed, wait=30)["result"] == {"a": 1}
        assert record(stack, retried, wait=30)["result"] == 2


def test_a_running_invocation_is_stopped_when_it_is_cancelled(
    sample_stack: Stack, tmp_path: Path
) -> None:
    marker = tmp_path / "starts"
    invocation_id = accept(sample_stack, "sleep", {"seconds": 600, "marker": str(marker)})
    sample_stack.wait_for(marker.exists, "the attempt to start")

    answer = sample_stack.request(f"/invocations/{invocation_id}", method="DELETE")

    assert answer.status == 202
    shown = record(sample_stack, invocation_id, wait=20)
    assert (shown["status"], shown["error"]["type"]) == ("cancelled", "Cancelled")
    sample_stack.wait_for(lambda: not is_alive(int(marker.read_text())), "its process to end")
    assert sample_stack.invoke("nested", {"next": 1}) == {"next": 1}
    assert len(marker.read_text().split()) == 1


def test_cancelling_outlives_the_worker_that_should_have_stopped_it(tmp_path: Path) -> None:
    marker = tmp_path / "starts"
    functions = Path(__file__).parent.parent / "sample_functions"
    with Stack(functions_dir=functions, environment={"EYAS_WORKERS": "1"}) as stack:
        invocation_id = accept(stack, "sleep", {"seconds": 600, "marker": str(marker)})
        stack.wait_for(lambda: marker.exists() and bool(marker.read_text()), "the attempt")
        stack.kill("worker")
        assert stack.request(f"/invocations/{invocation_id}", method="DELETE").status == 202
        stack.start("worker")

        shown = record(stack, invocation_id, wait=30)

        assert shown["status"] == "cancelled"
        assert len(marker.read_text().split()) == 1


def test_a_stock_program_revokes_what_no_worker_has_seen(tmp_path: Path) -> None:
    functions = Path(__file__).parent.parent / "sample_functions"
    with Stack(functions_dir=functions, environment={"EYAS_WORKERS": "1"}) as stack:
        app = celery.Celery(broker=stack.redis_url, backend=stack.redis_url)
        first = [app.send_task("sleep", args=[1]) for _ in range(3)]
        last = app.send_task("nested", args=[1])
        # Heard by the worker, which is then replaced by one that has heard of nothing.
        stack.wait_for(
            lambda: bool(app.control.revoke(last.id, reply=True, timeout=1)), "the worker to hear"
        )
        stack.kill("worker")
        stack.start("worker")

        for one in first:
            assert one.get(timeout=30) == "slept"
        with pytest.raises(celery.exceptions.TaskRevokedError):
            last.get(timeout=30)
        assert record(stack, last.id)["status"] == "cancelled"
        app.close()
        app.backend.result_consumer.stop()


def test_progress_is_in_the_record(sample_stack: Stack, tmp_path: Path) -> None:
    go_on = tmp_path / "go-on"
    invocation_id = accept(sample_stack, "count_up", {"total": 5, "marker": str(go_on)})

    def progress() -> Any:
        return record(sample_stack, invocation_id)["progress"]

    sample_stack.wait_for(lambda: progress() is not None, "progress")
    assert progress()["total"] == 5
    assert progress()["message"].startswith("step")
    go_on.touch()
    shown = record(sample_stack, invocation_id, wait=20)
    assert shown["progress"] == {"done": 5, "total": 5, "message": "done"}


def test_no_more_attempts_run_at_a_time_than_allowed(tmp_path: Path) -> None:
    marker = str(tmp_path / "limited")
    functions = Path(__file__).parent.parent / "sample_functions"
    with Stack(functions_dir=functions, environment={"EYAS_WORKERS": "5"}) as stack:
        payload = {"seconds": 0.15, "marker": marker}
        ids = [accept(stack, "limited", payload) for _ in range(14)]
        # Others go on meanwhile.
        assert stack.invoke("nested", {"a": 1}) == {"a": 1}

        records = [record(stack, one, wait=60) for one in ids]

        assert {shown["status"] for shown in records} == {"succeeded"}
        assert {shown["attempt"] for shown in records} == {1}
        spans = [(shown["started_at"], shown["finished_at"]) for shown in records]
        overlaps = [sum(1 for start, end in spans if start <= moment < end) for moment, _ in spans]
        assert max(overlaps) == 2


def test_a_dead_worker_frees_the_slots_that_it_held(tmp_path: Path) -> None:
    marker = str(tmp_path / "limited")
    functions = Path(__file__).parent.parent / "sample_functions"
    with Stack(functions_dir=functions, environment={"EYAS_WORKERS": "4"}) as stack:
        long = [accept(stack, "limited", {"seconds": 3, "marker": marker}) for _ in range(2)]
        stack.wait_for(
            lambda: (
                Path(marker + ".start").exists()
                and Path(marker + ".start").read_text().count("\n") == 2
            ),
            "both slots to be taken",
        )
        short = [accept(stack, "limited", {"seconds": 0, "marker": marker}) for _ in range(3)]
        stack.kill("worker")
        stack.start("worker")

        records = [record(stack, one, wait=60) for one in long + short]

        assert {shown["status"] for shown in records} == {"succeeded"}
        assert [shown["attempt"] for shown in records] == [2, 2, 1, 1, 1]


def test_a_handler_is_warned_before_it_is_stopped(sample_stack: Stack, tmp_path: Path) -> None:
    assert sample_stack.invoke("tidy") == "tidied"

    shown = failed_record(sample_stack, "tidy", {"catch": False})
    assert shown["error"]["type"] == "Timeout"

    marker = tmp_path / "marker"
    shown = failed_record(sample_stack, "tidy_async", {"marker": str(marker)})
    assert shown["error"]["type"] == "Timeout"
    assert marker.exists()


def test_an_async_handler_that_blocks_is_stopped(sample_stack: Stack) -> None:
    shown = failed_record(sample_stack, "hang_async")

    assert shown["error"]["type"] == "Timeout"
    assert sample_stack.invoke("wait_async", {"seconds": 0}) == "awaited"


def test_a_handler_knows_how_much_time_is_left(sample_stack: Stack) -> None:
    first, second = sample_stack.invoke("look_at_the_clock")

    assert 299 < first <= 300
    assert 0.2 <= first - second < 10
