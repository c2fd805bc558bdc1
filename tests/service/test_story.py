"""The story of an invocation: its record's history, its log lines, and `eyas explain`."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runtime.cli.__main__ import eyas
from runtime.testing import Stack
from tests.asking import accept, record
from tests.service.conftest import ActingWorker

MODULE = '''
import os, signal, time
from pathlib import Path
from runtime import function


@function
def wait_for(begun: str, go_on: str) -> str:
    """Say that it runs, and return when it may."""
    Path(begun).touch()
    while not Path(go_on).exists():
        time.sleep(0.01)
    return "done"


@function(retries=1, backoff=0)
def second_time(event, context):
    if context.attempt == 1:
        raise ValueError("not \\x1b[31myet")
    print("it works")
    return context.attempt


@function(retries=1, backoff=0)
def die_once(marker: str):
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)


@function
def die_until(marker: str):
    if not Path(marker).exists():
        os.kill(os.getpid(), signal.SIGKILL)


@function
def fail():
    raise ValueError("always")
'''


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("functions")
    (folder / "told.py").write_text(MODULE)
    with Stack(functions_dir=folder) as started:
        started.wait_until_ready()
        yield started


def explain(stack: Stack, invocation_id: str) -> str:
    result = CliRunner().invoke(eyas, ["explain", invocation_id, "--url", stack.url])
    assert result.exit_code == 0, result.output
    return result.output


def lines(stack: Stack, invocation_id: str) -> list[dict[str, Any]]:
    answer = stack.request(f"/invocations/{invocation_id}/logs")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.raw.splitlines()]


def test_a_killed_worker_is_named_with_the_time_of_recovery(stack: Stack, tmp_path: Path) -> None:
    begun, go_on = tmp_path / "begun", tmp_path / "go_on"
    invocation_id = accept(stack, "wait_for", {"begun": str(begun), "go_on": str(go_on)})
    stack.wait_for(begun.exists, "the handler to begin")
    # What has just begun is noted a moment later.
    stack.wait_for(
        lambda: stack.request(f"/invocations/{invocation_id}").body["status"] == "running",
        "the record to say so",
    )
    pid = log_of(stack, "worker.ready")[-1]["pid"]
    stack.kill("worker")
    go_on.touch()
    stack.start("worker")

    ended = record(stack, invocation_id)

    assert (ended["status"], ended["result"]) == ("succeeded", "done")
    (lost,) = ended["history"]
    assert (lost["what"], lost["attempt"]) == ("lost", 1)
    assert f":{pid}:" in lost["worker"]
    assert lost["started_at"] < lost["at"] < ended["started_at"]
    told = explain(stack, invocation_id)
    assert f"Its process died, or was killed, in {lost['worker']}; it was recovered at " in told
    assert "Attempt 2 began at" in told
    assert "It succeeded after" in told


def test_a_dead_process_is_told_of_and_is_in_the_logs(stack: Stack, tmp_path: Path) -> None:
    invocation_id = accept(stack, "die_once", {"marker": str(tmp_path / "marker")})

    ended = record(stack, invocation_id)

    assert [one["what"] for one in ended["history"]] == ["lost"]
    stack.wait_for(
        lambda: "attempt.finished" in [line["event"] for line in lines(stack, invocation_id)],
        "the worker's last line",
    )
    # It names several invocations, in one member.
    assert "executor.died" in [line["event"] for line in lines(stack, invocation_id)]


def test_a_failed_attempt_stays_in_the_history(stack: Stack) -> None:
    invocation_id = accept(stack, "second_time")

    ended = record(stack, invocation_id)

    (failed,) = ended["history"]
    assert failed["error"] == {"type": "ValueError", "message": "not \x1b[31myet"}
    assert failed["due_at"] >= failed["at"] > failed["started_at"]
    told = explain(stack, invocation_id)
    assert "failed" in told
    # What others wrote moves no cursor.
    assert "\x1b" not in told
    assert "not \\x1b[31myet" in told


def test_the_lines_are_those_of_every_process_in_order(stack: Stack) -> None:
    invocation_id = accept(stack, "second_time")
    record(stack, invocation_id)
    stack.wait_for(
        lambda: "succeeded" in [line.get("status") for line in lines(stack, invocation_id)],
        "the worker's last line",
    )

    found = lines(stack, invocation_id)

    assert {line["process"] for line in found} == {"web", "worker"}
    assert [line["timestamp"] for line in found] == sorted(line["timestamp"] for line in found)
    assert "it works" in [line.get("text") for line in found]
    assert {line["invocation_id"] for line in found} == {invocation_id}


def test_an_emulator_finds_the_lines_by_the_clock_of_the_logs(web_stack: Stack) -> None:
    web_stack.advance(100_000)
    invocation_id = accept(web_stack, "echo", 1)
    told = lines(web_stack, invocation_id)
    assert told[0]["status"] == 202

    # Two more files: one was last written long before, the other just now.
    for name, age_seconds in (("old", 3600), ("new", 0)):
        file = web_stack.log_dir / f"{name}.log"
        file.write_text(json.dumps(told[0] | {"event": name}) + "\n")
        os.utime(file, (time.time() - age_seconds,) * 2)

    events = {line["event"] for line in lines(web_stack, invocation_id)}
    assert "new" in events
    assert "old" not in events
    web_stack.advance(100_000)
    # Perhaps the clock was moved on before it was accepted.
    assert "old" in {line["event"] for line in lines(web_stack, invocation_id)}


def test_ids_that_were_never_seen_have_no_logs(stack: Stack) -> None:
    assert stack.request("/invocations/never-seen/logs").status == 404


def test_one_that_waits_for_a_worker_says_so(web_stack: Stack) -> None:
    waiting = web_stack.request("/functions/echo", body=b"1").body["id"]

    assert "until a worker takes messages. None does" in explain(web_stack, waiting)


def test_what_it_was_asked_to_wait_is_remembered(
    web_stack: Stack, acting_worker: ActingWorker
) -> None:
    answer = web_stack.request("/functions/echo", body=b"1", headers={"Eyas-Delay": "900"})
    delayed = answer.body["id"]
    shown = web_stack.request(f"/invocations/{delayed}").body

    assert shown["delay_seconds"] == 900
    assert "history" not in shown
    assert "asked to wait 15 min" in explain(web_stack, delayed)


def test_a_redriven_one_was_a_dead_letter(web_stack: Stack, acting_worker: ActingWorker) -> None:
    web_stack.request("/functions/echo", body=b"1")
    dead = acting_worker.give_up()
    assert "because the error is one that another attempt would not" in explain(web_stack, dead)
    web_stack.request(f"/dead-letters/{dead}/redrive", method="POST")
    acting_worker.succeed(1)

    told = explain(web_stack, dead)

    assert "Attempt 1 began at" in told
    assert "ValueError: no. It was given up, because the error is one that another" in told
    assert "it was taken out of the dead letters and queued again" in told
    assert "Attempt 2 began at" in told
    assert "It succeeded after" in told


def test_every_attempt_of_a_redriven_one_is_told(stack: Stack, tmp_path: Path) -> None:
    may_live = tmp_path / "may_live"
    invocation_id = accept(stack, "die_until", {"marker": str(may_live)})
    assert record(stack, invocation_id)["dead_letter"] == "Poison"
    deaths = record(stack, invocation_id)["attempt"]
    may_live.touch()
    stack.request(f"/dead-letters/{invocation_id}/redrive", method="POST")

    ended = record(stack, invocation_id)

    assert (ended["status"], ended["attempt"]) == ("succeeded", deaths + 1)
    *lost, given_up, redriven = ended["history"]
    assert [(one["what"], one["attempt"]) for one in lost] == [
        ("lost", number) for number in range(1, deaths + 1)
    ]
    assert (given_up["what"], given_up["reason"]) == ("given_up", "Poison")
    assert given_up["error"].keys() == {"type", "message"}
    assert lost[-1]["at"] <= given_up["at"] < redriven["at"]
    told = explain(stack, invocation_id)
    assert "it was given up, because it has killed its process too often: Poison: its" in told
    for number in range(1, deaths + 2):
        assert told.count(f"Attempt {number} began") == 1


def test_a_failed_attempt_is_told_after_a_redrive(stack: Stack) -> None:
    invocation_id = accept(stack, "fail")
    assert record(stack, invocation_id)["dead_letter"] == "RetriesExhausted"
    assert "It was given up, because it has no retries." in explain(stack, invocation_id)
    stack.request(f"/dead-letters/{invocation_id}/redrive", method="POST")
    record(stack, invocation_id)

    told = explain(stack, invocation_id)

    assert told.count("Attempt 1 began") == told.count("Attempt 2 began") == 1
    assert "ValueError: always. It was given up, because it has no retries." in told
    assert "given up, because it has no attempts left." in told


def test_one_that_is_cancelled_while_it_runs_is_told_in_order(stack: Stack, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    invocation_id = accept(
        stack, "wait_for", {"begun": str(begun), "go_on": str(tmp_path / "never")}
    )
    stack.wait_for(begun.exists, "the handler to begin")
    stack.wait_for(
        lambda: stack.request(f"/invocations/{invocation_id}").body["status"] == "running",
        "the record to say so",
    )
    stack.request(f"/invocations/{invocation_id}", method="DELETE")
    record(stack, invocation_id)

    sentences = explain(stack, invocation_id).splitlines()

    assert [sentence.partition(" at ")[0] for sentence in sentences[1:2]] == ["Attempt 1 began"]
    assert "somebody asked to cancel it" in sentences[2]
    assert sentences[3].startswith("It was cancelled after")


def test_the_request_that_had_it_accepted_is_named(web_stack: Stack) -> None:
    answer = web_stack.request("/functions/echo", body=b"1", headers={"X-Request-Id": "mine-7"})
    invocation_id = answer.body["id"]

    assert web_stack.request(f"/invocations/{invocation_id}").body["request_id"] == "mine-7"
    assert "echo was invoked over HTTP (request mine-7), and" in explain(web_stack, invocation_id)


def log_of(stack: Stack, event: str) -> list[dict[str, Any]]:
    text = (stack.log_dir / "worker.log").read_text()
    return [line for line in map(json.loads, text.splitlines()) if line["event"] == event]
