"""The comparisons of `loadtests.bench`: short, against a real stack, and interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from loadtests.bench import load, wire
from loadtests.bench.plan import LoadError, Plan
from loadtests.bench.rows import Finding
from runtime.testing import Stack

PROJECT = Path(__file__).parents[2]
SECONDS = 100
QUICK = ("--quick", "--only=accept", "--rounds=1", "--seconds=0.5")


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "loadtests.bench", f"--report={folder}", *arguments]


def plan_of(stack: Stack, payload: bytes, **options: float) -> Plan:
    address = urlsplit(stack.url)
    assert address.port is not None
    request = wire.request("POST", "/functions/fib", host=address.netloc, body=payload)
    return Plan(port=address.port, request=request, **options)  # type: ignore[arg-type]


def accepted(stack: Stack) -> int:
    return int(stack.request("/functions/fib").body["counts"]["accepted"])


def test_the_generator_counts_what_the_stack_accepts(eyas_stack: Stack) -> None:
    before = accepted(eyas_stack)

    measured = load.run(
        plan_of(eyas_stack, b'{"number": 3}', seconds=1.0, connections=8, keep_bodies=3)
    )

    assert measured.rate(202) == measured.answers[202] / 1.0 > 0
    assert accepted(eyas_stack) - before == measured.all_answers[202] > measured.answers[202]
    assert 0 < measured.percentile_ms(50) <= measured.percentile_ms(99)
    assert [json.loads(body)["status"] for body in measured.bodies] == ["queued"] * 3


def test_the_generator_sends_as_many_as_it_is_told(eyas_stack: Stack) -> None:
    before = accepted(eyas_stack)

    measured = load.run(plan_of(eyas_stack, b'{"number": 3}', requests=50, warm_up_seconds=0))

    assert measured.all_answers == {202: 50}
    assert accepted(eyas_stack) - before == 50


def test_an_open_load_sends_what_is_due(eyas_stack: Stack) -> None:
    measured = load.run(
        plan_of(eyas_stack, b'{"number": 3}', rate=50.0, seconds=2.0, warm_up_seconds=0)
    )

    assert measured.rate(202) == pytest.approx(50, abs=5)


def test_a_refused_request_is_no_rate(eyas_stack: Stack) -> None:
    measured = load.run(plan_of(eyas_stack, b'{"nonsense": 3}', seconds=0.2, connections=1))

    with pytest.raises(LoadError, match=r"others by status: \{422: "):
        measured.rate(202)


def test_a_short_run_prints_the_table_and_keeps_the_figures(tmp_path: Path) -> None:
    ran = subprocess.run(
        command(tmp_path, *QUICK, f"--against={PROJECT}"),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert ran.stderr == ""
    findings = json.loads((tmp_path / "results.json").read_text())["groups"]["accept"]["findings"]
    by_key = {finding["key"]: finding for finding in findings}
    assert by_key["accept_bare"]["spread"]["median"] > 0
    assert by_key["accept_against"]["spread"]["median"] > 0
    assert "| `POST /functions/fib` accepted/s ÷ `GET /ping` of a bare Falcon app | " in ran.stdout
    assert ran.returncode == int(not all(Finding.from_json(one).is_kept for one in findings))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_process(tmp_path: Path, how: signal.Signals) -> None:
    mark = f"BENCHMARK_TEST={uuid.uuid4()}"
    with subprocess.Popen(
        command(tmp_path, *QUICK, "--seconds=600"),
        cwd=PROJECT,
        env=os.environ | dict([mark.split("=")]),
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        deadline = time.monotonic() + SECONDS
        # Itself, and the first of those that it starts.
        while len([*marked(mark)]) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.05)  # asking costs a processor
        running.send_signal(how)
        output, _ = running.communicate(timeout=SECONDS)

    assert "interrupted" in output
    assert running.returncode == 2
    assert [*marked(mark)] == []


def test_an_unknown_group_is_one_line(tmp_path: Path) -> None:
    ran = subprocess.run(
        command(tmp_path, "--only=nonsense"),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert ran.returncode == 2
    assert "no group nonsense; there are accept, drain, " in ran.stderr


def marked(mark: str) -> Iterator[int]:
    """Yield the processes that inherited a variable."""
    for process in psutil.process_iter():
        try:
            if mark in {f"{key}={value}" for key, value in process.environ().items()}:
                yield process.pid
        except psutil.Error:
            continue
