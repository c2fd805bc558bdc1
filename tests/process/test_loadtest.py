"""`python -m loadtests` as a command, against a real stack and against bad ones."""

import json
import os
import signal
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from runtime.testing import Stack
from tests.loadtesting import PROJECT, SECONDS, Finished, command, of

SHORT = ("--seconds=0.3", "--warm-up=0", "--users=1", "--drain-seconds=0.2")


def loadtest(folder: Path, environment: Mapping[str, str], *arguments: str) -> Finished:
    ran = subprocess.run(
        command(f"--report={folder}", *arguments),
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return Finished(ran.returncode, ran.stdout, ran.stderr, folder)


def assert_good(run: Finished) -> None:
    assert (run.status, run.errors) == (0, ""), run.output
    numbers = run.summary
    assert numbers["passed"]
    assert numbers["failures"] == {}
    drain = numbers["drain"]
    assert drain["accepted"] == drain["finished"] == numbers["accepted"] > 0
    assert drain["outstanding"] == 0
    assert numbers["checked"] > 0
    assert 0 < numbers["latency_ms"]["p50"] <= numbers["latency_ms"]["max"]
    assert "POST /functions/fib" in run.page
    assert "all thresholds hold" in run.output


def test_a_closed_run(eyas_stack: Stack, tmp_path: Path) -> None:
    run = loadtest(tmp_path, of(eyas_stack), "--seconds=3", "--warm-up=0.5", "--users=1")

    assert_good(run)
    numbers = run.summary
    assert 0 < numbers["accepted_measured"] < numbers["accepted"]
    assert numbers["measured_seconds"] == pytest.approx(3)
    assert f'"num_requests": {numbers["accepted_measured"]}' in run.page


def test_an_arrival_run_in_two_processes_sends_what_is_scheduled(
    eyas_stack: Stack, tmp_path: Path
) -> None:
    run = loadtest(
        tmp_path,
        of(eyas_stack),
        *("--mode=arrival", "--rate=40", "--seconds=3", "--warm-up=0.5", "--processes=2"),
        "--check-every=10",
    )

    assert_good(run)
    numbers = run.summary
    assert numbers["accepted"] == numbers["generator"]["scheduled"] == 140
    assert numbers["accepted_measured"] == 120
    assert numbers["accepted_per_second"] == pytest.approx(40)
    assert numbers["checked"] == 14
    assert numbers["generator"]["late_ms"]["max"] > 0
    # Locust's page shows the requests of both processes.
    assert '"num_requests": 120' in run.page


def test_batches_in_two_processes_count_invocations(eyas_stack: Stack, tmp_path: Path) -> None:
    run = loadtest(
        tmp_path,
        of(eyas_stack),
        *("--mode=arrival", "--rate=10", "--seconds=2", "--warm-up=1", "--processes=2"),
        *("--batch=30", "--check-every=50", "--min-accepted-per-second=299"),
    )

    assert_good(run)
    numbers = run.summary
    assert numbers["generator"]["sent"] == numbers["generator"]["scheduled"] == 30
    assert numbers["accepted"] == 900
    assert numbers["accepted_measured"] == 600
    assert numbers["accepted_per_second"] == pytest.approx(300)
    assert numbers["checked"] == 18
    assert "batches of 30" in run.output
    assert "POST /functions/fib/batch" in run.page
    assert '"num_requests": 20' in run.page


def test_batches_in_closed_mode(eyas_stack: Stack, tmp_path: Path) -> None:
    arguments = ("--seconds=1", "--warm-up=0.5", "--users=2", "--batch=20", "--check-every=97")

    run = loadtest(tmp_path, of(eyas_stack), *arguments)

    assert_good(run)
    numbers = run.summary
    assert numbers["accepted"] == 20 * numbers["generator"]["sent"]
    assert 0 < numbers["accepted_measured"] < numbers["accepted"]
    assert f'"num_requests": {numbers["accepted_measured"] // 20}' in run.page
    assert numbers["checked"] == -(-numbers["accepted"] // 97)


def test_a_batch_that_the_stack_refuses_is_one_failure(eyas_stack: Stack, tmp_path: Path) -> None:
    run = loadtest(tmp_path, of(eyas_stack), "--batch=1001", *SHORT)

    assert run.status == 1, run.output
    assert run.broken[0] == "BROKEN: nothing was accepted"
    numbers = run.summary
    assert numbers["failures"] == {"status 413": numbers["generator"]["sent"]}
    assert (numbers["accepted_unknown"], numbers["drain"]["accepted"]) == (0, 0)


def test_impossible_thresholds_are_named(eyas_stack: Stack, tmp_path: Path) -> None:
    run = loadtest(
        tmp_path,
        of(eyas_stack),
        *("--mode=arrival", "--rate=20", "--seconds=0.5", "--warm-up=0"),
        *("--min-accepted-per-second=1000000", "--max-p99-ms=0.001"),
    )

    assert run.status == 1, run.output
    assert [line.split(":")[1] for line in run.broken] == [
        " min-accepted-per-second",
        " max-p99-ms",
    ]
    assert not run.summary["passed"]


def test_ctrl_c_reports_early_and_leaves_no_process(eyas_stack: Stack, tmp_path: Path) -> None:
    mark = f"EYAS_TEST_MARK={uuid.uuid4()}"
    environment = of(eyas_stack) | dict([mark.split("=")])
    arguments = ("--mode=arrival", "--rate=20", "--seconds=600", "--processes=2", "--warm-up=0")
    with subprocess.Popen(
        command(f"--report={tmp_path}", *arguments),
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        running.stdout.readline()
        assert len(marked(mark)) == 3
        running.send_signal(signal.SIGINT)
        output, _ = running.communicate(timeout=SECONDS)

    run = Finished(running.returncode, output, "", tmp_path)
    assert run.status == 1, run.output
    assert [line.split(":")[1] for line in run.broken] == [" interrupted"]
    assert run.summary["drain"]["finished"] == run.summary["accepted"]
    assert run.page
    assert marked(mark) == []


def test_no_stack_is_one_line(tmp_path: Path) -> None:
    run = loadtest(tmp_path, os.environ, "--host=http://127.0.0.1:1")

    assert run.status == 2
    assert run.output == ""
    assert run.errors.count("\n") == 1
    assert run.errors.startswith("no stack answers at http://127.0.0.1:1 ")
    assert not [*tmp_path.iterdir()]


def test_something_else_that_answers_is_one_line(tmp_path: Path) -> None:
    with answering(Answers(description={})) as url:
        run = loadtest(tmp_path, os.environ, f"--host={url}")

    assert (run.status, run.errors.count("\n")) == (2, 1)
    assert "no counts of invocations" in run.errors


def test_wrong_answers_to_invocations_are_failures(tmp_path: Path) -> None:
    answers = Answers(accepting=[(500, {}), (202, {"id": 7}), (202, {"id": ""}), (429, {})])
    with answering(answers) as url:
        run = loadtest(tmp_path, os.environ, f"--host={url}", *SHORT)

    assert run.status == 1, run.output
    assert run.broken[0] == "BROKEN: nothing was accepted"
    assert run.broken[1].startswith("BROKEN: max-failures: wanted 0 or less, found ")
    kinds = {"status 500", "status 429", "status 202 without an id"}
    assert run.summary["failures"].keys() == kinds
    assert "status 500" in run.page


def test_wrong_answers_to_batches_are_failures(tmp_path: Path) -> None:
    wrong: list[Any] = [["a"], ["a", "b", "c"], ["a", 7], ["a", ""], "ab"]
    answers = Answers(accepting=[(202, {"ids": ids}) for ids in wrong])
    with answering(answers) as url:
        run = loadtest(tmp_path, os.environ, f"--host={url}", "--batch=2", *SHORT)

    assert run.status == 1, run.output
    assert run.broken[0] == "BROKEN: nothing was accepted"
    assert run.summary["failures"].keys() == {"status 202 without 2 ids"}
    assert run.summary["accepted_unknown"] == 0


def test_a_batch_without_an_answer_may_have_been_accepted(tmp_path: Path) -> None:
    answers = Answers(accepting=[(202, {"ids": ["a"] * 7}), NO_ANSWER])
    with answering(answers) as url:
        run = loadtest(tmp_path, os.environ, f"--host={url}", "--batch=7", *SHORT)

    assert run.status == 1, run.output
    numbers = run.summary
    unanswered = numbers["generator"]["unanswered"]
    assert unanswered > 0
    assert numbers["accepted_unknown"] == 7 * unanswered
    assert numbers["accepted"] == 7 * (numbers["generator"]["sent"] - unanswered)
    failures = [n for kind, n in numbers["failures"].items() if kind.startswith("no answer: ")]
    assert sum(failures) == unanswered


def test_ids_that_lead_to_nothing_and_wrong_results_are_failures(tmp_path: Path) -> None:
    accepting = [(202, {"id": "lost"}), (202, {"id": "wrong"})]
    wrong = {"id": "wrong", "function": "fib", "status": "succeeded", "result": [1, 2, 3]}
    answers = Answers(accepting=accepting, records={"wrong": wrong})
    with answering(answers) as url:
        run = loadtest(tmp_path, os.environ, f"--host={url}", "--check-every=1", *SHORT)

    assert run.status == 1, run.output
    kinds = {"result: status 404 for an accepted id", "result: wrong numbers"}
    assert run.summary["failures"].keys() == kinds
    assert run.broken[1].startswith("BROKEN: accepted == finished: ")
    assert run.broken[1].endswith("were answered with 202, and the stack counts 0")


def marked(mark: str) -> list[int]:
    """Return the processes that inherited a setting."""
    name, value = mark.split("=")
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(name) == value:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


COUNTS = (
    "accepted",
    "queued",
    "running",
    "retrying",
    "succeeded",
    "failed",
    "cancelled",
    "expired",
)


NO_ANSWER = (0, None)


@dataclass
class Answers:
    """What a bad stack answers. `accepting` is answered in turn."""

    accepting: list[tuple[int, Any]] = field(default_factory=list)
    records: dict[str, Any] = field(default_factory=dict)
    description: Any = field(default_factory=lambda: {"counts": dict.fromkeys(COUNTS, 0)})


@contextmanager
def answering(answers: Answers) -> Iterator[str]:
    """Serve answers over HTTP."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        asked = 0

        def do_GET(self) -> None:
            if self.path == "/functions/fib":
                self.answer(200, answers.description)
                return
            record = answers.records.get(self.path.removeprefix("/invocations/"))
            self.answer(404 if record is None else 200, record)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            Handler.asked += 1
            status, value = answers.accepting[Handler.asked % len(answers.accepting)]
            if (status, value) == NO_ANSWER:
                self.close_connection = True
            else:
                self.answer(status, value)

        def answer(self, status: int, value: Any) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
