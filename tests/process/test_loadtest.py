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
            self.answer(*answers.accepting[Handler.asked % len(answers.accepting)])

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
