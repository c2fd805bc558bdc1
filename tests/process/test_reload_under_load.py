"""A function's file is saved, wrong and right, while Locust sends requests to it."""

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.testing import Stack
from tests.asking import logged
from tests.loadtesting import PROJECT, SECONDS, Finished, command, of

ROUNDS = 3
MORE = 30  # requests that Locust sends on each version
RANGE = "range(number + 1)"


@contextmanager
def locust(stack: Stack, folder: Path) -> Iterator[list[Finished]]:
    """Send requests until the block ends, as Ctrl-C ends them; then give the report."""
    arguments = ("--mode=arrival", "--rate=100", "--seconds=600", "--warm-up=0", "--check-every=5")
    finished: list[Finished] = []
    with subprocess.Popen(
        command(f"--report={folder}", *arguments),
        cwd=PROJECT,
        env=of(stack),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield finished
            running.send_signal(signal.SIGINT)
            output, errors = running.communicate(timeout=SECONDS)
            finished.append(Finished(running.returncode, output, errors, folder))
        finally:
            running.kill()


def more_have_succeeded(stack: Stack) -> None:
    """Wait until more requests have been answered and run to their end."""

    def succeeded() -> int:
        count: int = stack.request("/functions/fib").body["counts"]["succeeded"]
        return count

    before = succeeded()
    stack.wait_for(lambda: succeeded() >= before + MORE, "requests of Locust to succeed")


def modules_that_failed(stack: Stack) -> list[str]:
    return [one["module"] for one in stack.request("/functions").body["failed"]]


def test_a_syntax_error_fails_no_request_of_locust_and_its_correction_is_served_at_once(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    functions = tmp_path / "edited_functions"
    shutil.copytree(PROJECT / "functions", functions, ignore=shutil.ignore_patterns("__pycache__"))
    file = functions / "fib.py"
    original = file.read_text()
    assert original.count(RANGE) == 1
    waits_ms = []
    with (
        Stack(functions_dir=functions, environment={"EYAS_WORKERS": "1"}) as stack,
        locust(stack, tmp_path / "report") as finished,
    ):

        def worker_failures() -> int:
            return len(logged(stack, lambda line: line["event"] == "module.failed"))

        more_have_succeeded(stack)
        assert stack.invoke("fib", {"number": -1}) == []
        for length in range(1, ROUNDS + 1):
            failures = worker_failures()
            file.write_text(original.replace("def fib(", "def fib(("))
            stack.wait_for(lambda: modules_that_failed(stack) == ["edited_functions.fib"], "web")
            stack.wait_for(lambda failures=failures: worker_failures() > failures, "the worker")
            more_have_succeeded(stack)

            # Locust asks for numbers above 0, whose results stay what they were.
            file.write_text(original.replace(RANGE, f"range(number + 1 or {length})"))
            saved_at = time.monotonic()
            stack.wait_for(
                lambda length=length: len(stack.invoke("fib", {"number": -1})) == length,
                "the new code",
            )
            waits_ms.append(round((time.monotonic() - saved_at) * 1000))
            stack.wait_for(lambda: modules_that_failed(stack) == [], "web")
            more_have_succeeded(stack)

    (run,) = finished
    record_property("ms_from_save_to_new_code", waits_ms)
    print(f"from saving to the first result of the new code: {waits_ms} ms")
    assert run.errors == ""
    # Ctrl-C ended it, which is all that is wrong with it.
    assert [line.split(":")[1] for line in run.broken] == [" interrupted"], run.output
    numbers = run.summary
    assert numbers["failures"] == {}
    assert numbers["generator"]["unanswered"] == 0
    assert numbers["accepted"] >= MORE * (1 + 2 * ROUNDS)
    assert numbers["accepted"] == numbers["generator"]["sent"]
    assert numbers["drain"]["accepted"] == numbers["drain"]["finished"]
    assert numbers["checked"] > 0
    assert set(re.findall(r'"num_failures": (\d+)', run.page)) == {"0"}
