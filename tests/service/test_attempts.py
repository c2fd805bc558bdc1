"""What becomes of attempts that fail, hang, die or say too much."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import celery
import pytest

from runtime.testing import FunctionFailedError, Stack
from tests.processes import is_alive


def failure(stack: Stack, name: str, payload: Any = None) -> dict[str, Any]:
    with pytest.raises(FunctionFailedError) as caught:
        stack.invoke(name, payload, seconds=40)
    error: dict[str, Any] = caught.value.problem["error"]
    return error | {"http_status": caught.value.problem["status"]}


def log_lines(stack: Stack, process: str) -> list[dict[str, Any]]:
    text = (stack.log_dir / f"{process}.log").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def attempt_line(stack: Stack, invocation_id: str) -> dict[str, Any]:
    def lines() -> list[dict[str, Any]]:
        return [
            r
            for r in log_lines(stack, "worker")
            if r["event"] == "attempt.finished" and r["invocation_id"] == invocation_id
        ]

    # The worker writes it after the outcome is stored, and so after the answer perhaps.
    stack.wait_for(lambda: bool(lines()), "the attempt's line")
    (line,) = lines()
    return line


@pytest.mark.parametrize("name", ["hang_in_python", "hang_in_sleep", "hang_in_c"])
def test_a_handler_is_stopped_at_its_timeout(sample_stack: Stack, name: str) -> None:
    error = failure(sample_stack, name)

    assert error["type"] == "Timeout"
    assert "stopped after 1.0 seconds" in error["message"]
    assert error["http_status"] == 504
    warned = [r for r in log_lines(sample_stack, "worker") if r["level"] == "warning"]
    assert "attempt.stale" not in [r["event"] for r in warned]
    assert sample_stack.invoke("sleep", {"seconds": 0}) == "slept"


def test_sys_exit_is_a_function_error(sample_stack: Stack) -> None:
    error = failure(sample_stack, "leave")

    assert (error["type"], error["message"]) == ("SystemExit", "3")
    assert sample_stack.invoke("sleep", {"seconds": 0}) == "slept"


@pytest.mark.parametrize(("name", "says"), [("not_a_number", "nan"), ("unserializable", "object")])
def test_what_json_cannot_hold_is_a_function_error(
    sample_stack: Stack, name: str, says: str
) -> None:
    error = failure(sample_stack, name)

    assert error["type"] == "InvalidResult"
    assert says in error["message"]


def test_results_over_the_limit_are_function_errors(sample_stack: Stack) -> None:
    assert len(sample_stack.invoke("large", {"bytes_": 299_998})) == 299_998

    error = failure(sample_stack, "large", {"bytes_": 299_999})

    assert error["type"] == "InvalidResult"
    assert "EYAS_MAX_RESULT_BYTES" in error["message"]


@pytest.mark.parametrize("kind", ["Ignore", "Retry", "Reject"])
def test_what_celery_takes_for_signals_are_function_errors(sample_stack: Stack, kind: str) -> None:
    assert failure(sample_stack, "signal_to_celery", {"kind": kind})["type"] == kind


def test_a_memory_error_fails_its_invocation_alone(sample_stack: Stack) -> None:
    worker = sample_stack.running["worker"].pid

    assert failure(sample_stack, "need_memory")["type"] == "MemoryError"

    assert sample_stack.invoke("sleep", {"seconds": 0}) == "slept"
    assert sample_stack.running["worker"].poll() is None
    assert sample_stack.running["worker"].pid == worker
    assert "worker.restarting" not in [r["event"] for r in log_lines(sample_stack, "worker")]


def test_a_forked_child_does_not_take_over(sample_stack: Stack) -> None:
    assert sample_stack.invoke("fork") == "parent"
    assert sample_stack.invoke("fork") == "parent"


def test_error_messages_are_bounded_and_can_be_stored(sample_stack: Stack) -> None:
    long = failure(sample_stack, "raise_text", {"text": "x", "times": 10_000_000})
    assert long["type"] == "ValueError"
    assert len(long["message"]) < 30_000
    assert "(10000000 characters)" in long["message"]

    surrogate = failure(sample_stack, "raise_text", {"text": "\\ud800"})
    assert (surrogate["type"], surrogate["message"]) == ("ValueError", "\\ud800")


def test_printing_without_line_ends_is_not_slow(sample_stack: Stack) -> None:
    assert sample_stack.invoke("dots", {"count": 300_000}, seconds=30) == 300_000


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_the_deepest_payload_that_is_accepted_is_run(
    sample_stack: Stack, opening: bytes, closing: bytes
) -> None:
    wait = {"Prefer": "wait=20"}
    inner = b"1" if opening != b"[" else b""
    deepest = opening * 100 + inner + closing * 100

    answer = sample_stack.request("/functions/nested", body=deepest, headers=wait)
    assert answer.status == 200, answer.raw
    deeper = opening + deepest + closing
    assert sample_stack.request("/functions/nested", body=deeper, headers=wait).status == 400


def test_an_async_handler_runs(sample_stack: Stack) -> None:
    assert sample_stack.invoke("wait_async", {"seconds": 0.01}) == "awaited"


def test_a_handler_that_kills_its_process_runs_again(sample_stack: Stack) -> None:
    assert sample_stack.invoke("die", {"until_attempt": 3}) == 3


def test_a_handler_that_always_kills_its_process_is_given_up(sample_stack: Stack) -> None:
    error = failure(sample_stack, "die")

    assert error["type"] == "Poison"
    assert "in each of 5 attempts" in error["message"]
    assert sample_stack.invoke("sleep", {"seconds": 0}) == "slept"


def test_what_a_handler_prints_and_logs_carries_its_id(sample_stack: Stack) -> None:
    answer = sample_stack.request(
        "/functions/talk", body=b"{}", headers={"Prefer": "wait=20", "X-Request-Id": "req-7"}
    ).body

    lines = [r for r in log_lines(sample_stack, "worker") if r.get("invocation_id") == answer["id"]]
    assert {r["request_id"] for r in lines} == {"req-7"}
    assert {r["function"] for r in lines} == {"talk"}
    events = {(r["event"], r.get("stream"), r.get("text")) for r in lines}
    assert ("handler.output", "stdout", "printed words") in events
    assert ("handler.output", "stderr", "to stderr") in events
    by_event = {r["event"]: r for r in lines}
    assert by_event["a library warns of rain"]["level"] == "warning"
    assert by_event["talk.said"]["words"] == 3


def test_one_canonical_line_per_request_and_per_attempt(sample_stack: Stack) -> None:
    answer = sample_stack.request(
        "/functions/sleep", body=b'{"seconds": 0.05}', headers={"Prefer": "wait=20"}
    )
    invocation_id = answer.body["id"]

    def lines() -> list[dict[str, Any]]:
        return [
            r
            for r in log_lines(sample_stack, "web")
            if r["event"] == "request.finished" and r.get("invocation_id") == invocation_id
        ]

    sample_stack.wait_for(lambda: bool(lines()), "the request's line")
    (request,) = lines()
    assert (request["status"], request["function"]) == (200, "sleep")
    assert request["duration_ms"] >= 50
    attempt = attempt_line(sample_stack, invocation_id)
    assert (attempt["status"], attempt["attempt"], attempt["function"]) == ("succeeded", 1, "sleep")
    assert attempt["request_id"] == request["request_id"]
    assert attempt["run_ms"] >= 50
    assert attempt["queue_wait_ms"] >= 0


def test_a_failed_attempts_line_has_the_traceback(sample_stack: Stack) -> None:
    with pytest.raises(FunctionFailedError) as caught:
        sample_stack.invoke("fail", {"message": "for the log"})
    attempt = attempt_line(sample_stack, caught.value.problem["invocation_id"])
    assert attempt["level"] == "error"
    assert attempt["error_type"] == "OrderError"
    assert "for the log" in attempt["exception"]
    assert "in _raise" in attempt["exception"]
    assert "in _attempt" not in attempt["exception"], "frames of the runtime"
    assert "celery" not in attempt["exception"]


def test_no_log_holds_a_payload_or_a_result(sample_stack: Stack) -> None:
    word = "correct-horse-battery"
    assert sample_stack.invoke("secret", {"password": word}) == word[::-1]
    with celery.Celery(broker=sample_stack.redis_url) as producer:
        unfit = producer.send_task("secret", kwargs={"password": 1, word: word})
    sample_stack.wait_for(
        lambda: sample_stack.request(f"/invocations/{unfit.id}").body.get("status") == "failed",
        "the payload to be found unfit",
    )
    error = sample_stack.request(f"/invocations/{unfit.id}").body["error"]
    assert (error["type"], word in error["message"]) == ("InvalidPayload", True)
    line = attempt_line(sample_stack, unfit.id)
    assert (line["error_type"], line["level"]) == ("InvalidPayload", "error")

    for path in [*sample_stack.log_dir.glob("*.log"), *sample_stack.folder.glob("*.out")]:
        text = path.read_text(encoding="utf-8")
        assert word not in text, path
        assert word[::-1] not in text, path


def test_every_line_of_every_log_file_is_json(sample_stack: Stack) -> None:
    sample_stack.invoke("talk")

    for path in sample_stack.log_dir.glob("*.log"):
        records = log_lines(sample_stack, path.stem)
        assert records, path
        for record in records:
            assert {"timestamp", "level", "event", "logger", "process", "pid"} <= record.keys()
            assert record["process"] == path.stem


def test_a_killed_workers_invocation_runs_again_within_seconds(tmp_path: Path) -> None:
    marker = tmp_path / "starts"
    functions = Path(__file__).parent.parent / "sample_functions"
    with Stack(functions_dir=functions, environment={"EYAS_WORKERS": "1"}) as stack:
        body = json.dumps({"seconds": 3, "marker": str(marker)}).encode()
        accepted = stack.request("/functions/sleep", body=body).body
        stack.wait_for(marker.exists, "the attempt to start")
        stack.kill("worker")
        killed_at = time.monotonic()
        stack.start("worker")
        stack.wait_for(lambda: len(marker.read_text().split()) == 2, "a second attempt")
        assert time.monotonic() - killed_at < 15

        record = stack.request(f"/invocations/{accepted['id']}", headers={"Prefer": "wait=20"}).body

        assert (record["status"], record["result"], record["attempt"]) == ("succeeded", "slept", 2)


def test_a_long_attempt_is_not_delivered_again_while_its_worker_lives(tmp_path: Path) -> None:
    marker = tmp_path / "starts"
    functions = Path(__file__).parent.parent / "sample_functions"
    with Stack(functions_dir=functions, environment={"EYAS_WORKERS": "2"}) as stack:
        result = stack.invoke("sleep", {"seconds": 15, "marker": str(marker)})

        assert result == "slept"
        assert len(marker.read_text().split()) == 1


def test_stopping_finishes_what_runs_and_starting_again_continues(tmp_path: Path) -> None:
    marker = tmp_path / "starts"
    functions = Path(__file__).parent.parent / "sample_functions"
    with Stack(functions_dir=functions, environment={"EYAS_WORKERS": "1"}) as stack:
        body = json.dumps({"seconds": 1, "marker": str(marker)}).encode()
        ids = [stack.request("/functions/sleep", body=body).body["id"] for _ in range(5)]
        stack.wait_for(marker.exists, "the first attempt to start")
        for name in ("web", "worker", "broker"):
            assert stack.stop(name) == 0, stack.output()
        for name in ("broker", "web", "worker"):
            stack.start(name)
        stack.wait_until_ready()

        records = [
            stack.request(f"/invocations/{i}", headers={"Prefer": "wait=30"}).body for i in ids
        ]

        assert [r["status"] for r in records] == ["succeeded"] * 5
        assert [r["attempt"] for r in records] == [1] * 5
        assert len(marker.read_text().split()) == 5


def test_a_soft_stop_gives_nothing_away_that_is_still_running(tmp_path: Path) -> None:
    marker = tmp_path / "starts"
    functions = Path(__file__).parent.parent / "sample_functions"
    with Stack(functions_dir=functions, environment={"EYAS_WORKERS": "1"}) as stack:
        body = json.dumps({"seconds": 7, "marker": str(marker)}).encode()
        invocation_id = stack.request("/functions/sleep", body=body).body["id"]
        stack.wait_for(lambda: marker.exists() and bool(marker.read_text()), "the attempt")
        stack.start("worker", instance="other")
        assert stack.stop("worker") == 0

        record = stack.request(f"/invocations/{invocation_id}").body

        assert (record["status"], record["attempt"]) == ("succeeded", 1)
        assert len(marker.read_text().split()) == 1


def test_a_killed_worker_leaves_no_process_behind(tmp_path: Path) -> None:
    marker = tmp_path / "starts"
    functions = Path(__file__).parent.parent / "sample_functions"
    with Stack(functions_dir=functions, environment={"EYAS_WORKERS": "1"}) as stack:
        body = json.dumps({"seconds": 60, "marker": str(marker)}).encode()
        stack.request("/functions/sleep", body=body)
        stack.wait_for(lambda: marker.exists() and bool(marker.read_text()), "the attempt")
        pid = int(marker.read_text())
        os.kill(pid, 0)

        stack.running["worker"].send_signal(signal.SIGKILL)

        stack.wait_for(lambda: not is_alive(pid), "the pool process to end")
