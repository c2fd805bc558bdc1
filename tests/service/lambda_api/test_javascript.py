"""The Lambda API, as AWS's SDK for JavaScript uses it.

`make test` installs the SDK if there is npm. Without it these tests are skipped, but not in CI.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.testing import Stack
from tests.asking import lines, record
from tests.lambda_api import ACCOUNT

FOLDER = Path(__file__).parents[2] / "javascript"

Run = Callable[..., Any]


@pytest.fixture(scope="session")
def node() -> str:
    """Node.js, with the SDK."""
    found = shutil.which("node")
    if found is None or not (FOLDER / "node_modules" / ".ready").exists():
        missing = "needs Node.js 20, and AWS's SDK for it: make test installs that, with npm"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


@pytest.fixture(scope="session")
def run(node: str, stack: Stack) -> Run:
    """Run a scenario of the script, and return what it tells of it."""
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_ENDPOINT_URL_LAMBDA": stack.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "eu-west-1",
    }

    def run(scenario: str, *arguments: Any) -> Any:
        done = subprocess.run(
            [node, "lambda.mjs", scenario, *map(json.dumps, arguments)],
            cwd=FOLDER,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_a_result_is_the_payload_of_the_answer(run: Run, stack: Stack) -> None:
    answer = run("waited", "echo", {"n": [1, "ü"]})

    assert json.loads(answer["payload"]) == {"n": [1, "ü"]}
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in answer
    assert record(stack, answer["requestId"])["status"] == "succeeded"


def test_what_a_handler_raises_is_a_function_error(run: Run) -> None:
    answer = run("waited", "fail", {})

    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert json.loads(answer["payload"])["errorType"] == "CustomException"


def test_the_result_of_an_event_is_polled(run: Run) -> None:
    found = run("polled", "add", {"one": 3}, "polled-by-javascript")

    assert found["StatusCode"] == 202
    assert found["DurableExecutionArn"].startswith(
        f"{ACCOUNT}add:$LATEST/durable-execution/polled-by-javascript/"
    )
    assert (found["Status"], found["Result"]) == ("SUCCEEDED", "3")
    assert found["InputPayload"] == '{"one":3}'
    assert found["StartTimestamp"] <= found["EndTimestamp"]
    assert found["events"] == ["ExecutionStarted", "ExecutionSucceeded"]


def test_what_runs_is_stopped(run: Run, marker: Path) -> None:
    found = run("stopped", "slow", {"marker": str(marker), "seconds": 600})

    assert found["Status"] == "STOPPED"
    assert found["EndTimestamp"] == found["StopTimestamp"]


def test_refusals_are_typed_exceptions(run: Run) -> None:
    unknown = run("unknown", "nobody")
    assert unknown["name"] == unknown["type"] == "ResourceNotFoundException"
    assert (unknown["$fault"], unknown["httpStatusCode"]) == ("client", 404)
    assert unknown["message"] == f"Function not found: {ACCOUNT}nobody"
    assert unknown["attempts"] == 1
    started = run("startedTwice", "echo", [1, 2], "started-by-javascript")
    assert started["name"] == started["type"] == "DurableExecutionAlreadyStartedException"
    assert started["httpStatusCode"] == 409


def test_its_waiter_sees_what_is_active_and_what_failed(run: Run) -> None:
    assert run("active", "echo") == "SUCCESS"
    failed = run("neverActive", "broken")
    assert "FAILURE" in failed["message"]
    assert failed["seconds"] < 10


def test_its_paginator_sees_every_function_once(run: Run, client: Any) -> None:
    pages = run("listed", 4)
    names = [one["FunctionName"] for one in client.list_functions()["Functions"]]

    assert [name for page in pages for name in page] == names
    assert len(pages) == -(-len(names) // 4)


def test_the_tail_of_the_log_is_read(run: Run) -> None:
    tail = run("logged", "talk", {"a": 1})

    assert tail.startswith("START RequestId: ")
    assert "printed {'a': 1}" in tail
    assert "REPORT RequestId: " in tail


def test_what_a_handler_yields_is_streamed(run: Run) -> None:
    answer = run("streamed", "spell", {"word": "aüz"})

    assert answer["StatusCode"] == 200
    assert answer["chunks"] == ["a", "ü", "z"]
    assert answer["complete"] == {}


def test_a_stream_says_how_it_has_failed(run: Run) -> None:
    answer = run("streamed", "spell", {"word": "a z"})

    assert answer["chunks"] == ["a"]
    assert answer["complete"]["ErrorCode"] == "Unhandled"
    assert json.loads(answer["complete"]["ErrorDetails"])["errorType"] == "CustomException"


def test_a_dry_run_runs_nothing(run: Run, stack: Stack) -> None:
    before = stack.request("/functions/echo").body["counts"]

    assert run("dry", "echo") == {"StatusCode": 204, "bytes": 0}
    assert stack.request("/functions/echo").body["counts"] == before


def test_a_call_that_is_repeated_after_a_timeout_runs_once(run: Run, marker: Path) -> None:
    answer = run("impatient", "slow", {"marker": str(marker), "seconds": 2})

    assert answer["payload"] == '"slept"'
    assert answer["attempts"] >= 2
    assert lines(marker) == [["run"]]
