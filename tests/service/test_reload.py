"""What happens when files of the functions folder change while a stack runs."""

import contextlib
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import celery
import pytest

from runtime.testing import Stack
from tests.asking import logged

# After a change web and worker are the new ones within a second, on a machine that does nothing
# else. Test machines do.
BOUND_SECONDS = 20.0
_NUMBERS = itertools.count()

PLAIN = """
import time
from pathlib import Path

from runtime import function
{more}

@function
def answer(*, seconds: float = 0, note: str = "") -> int:
    if note:
        Path(note).touch()
    time.sleep(seconds)
    return {answer}
"""
WAITING = """
import asyncio
import time
from pathlib import Path

from runtime import function


@function
async def coroutine(*, seconds: float = 0, note: str = "") -> int:
    if note:
        Path(note).touch()
    await asyncio.sleep(seconds)
    return {answer}


@function(threads=4)
def thread(*, seconds: float = 0, note: str = "") -> int:
    if note:
        Path(note).touch()
    time.sleep(seconds)
    return {answer}
"""


class Folder:
    """A functions folder that is edited as editors do it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()

    def write(self, name: str, text: str) -> None:
        beside = self.path / f".{name}.tmp"
        beside.write_text(text)
        beside.replace(self.path / name)

    def answer(self, answer: Any, *, more: str = "") -> None:
        self.write("plain.py", PLAIN.format(answer=answer, more=more))

    def waiting(self, answer: Any) -> None:
        self.write("waiting.py", WAITING.format(answer=answer))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Folder]]:
    folder = Folder(tmp_path_factory.mktemp("reload") / "reloaded_functions")
    folder.answer(0)
    folder.waiting(0)
    environment = {
        "EYAS_WORKERS": "1",
        # As on a laptop: what Python compiled before must not be taken for the new version.
        "PYTHONDONTWRITEBYTECODE": "",
    }
    with Stack(functions_dir=folder.path, environment=environment) as stack:
        yield stack, folder


@pytest.fixture
def stack(served: tuple[Stack, Folder]) -> Stack:
    return served[0]


@pytest.fixture
def folder(served: tuple[Stack, Folder]) -> Iterator[Folder]:
    stack, folder = served
    yield folder
    for path in folder.path.glob("*.py"):
        if path.name not in {"plain.py", "waiting.py"}:
            path.unlink()
    folder.waiting(0)
    # web and worker have read everything when they have read this.
    last = f"settled_{next(_NUMBERS)}"
    folder.answer(0, more=f"\n\n@function\ndef {last}() -> int:\n    return 0\n")
    wait(stack, lambda: stack.request(f"/functions/{last}").status == 200)
    assert stack.invoke(last) == 0
    assert [stack.invoke(name) for name in ("answer", "coroutine", "thread")] == [0, 0, 0]
    assert failed(stack) == []


def wait(stack: Stack, is_true: Callable[[], bool], seconds: float = BOUND_SECONDS) -> None:
    stack.wait_for(is_true, "the change", seconds=seconds)


def failed(stack: Stack) -> list[str]:
    return [one["module"] for one in stack.request("/functions").body["failed"]]


def lines(stack: Stack, process: str, event: str) -> list[dict[str, Any]]:
    return logged(stack, lambda line: line["event"] == event, process=process)


@contextlib.contextmanager
def loop_of_requests(stack: Stack) -> Iterator[list[Any]]:
    """Invoke `answer` again and again, four at a time; yield what it returned, or what failed."""
    seen: list[Any] = []
    stopped = threading.Event()

    def invoke() -> None:
        while not stopped.is_set():
            try:
                seen.append(stack.invoke("answer"))
            except Exception as error:  # noqa: BLE001  the test looks at all of them
                seen.append(error)

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(invoke) for _ in range(4)]
        try:
            yield seen
        finally:
            stopped.set()
    for one in running:
        one.result()


def test_a_change_is_served_within_a_moment(stack: Stack, folder: Folder) -> None:
    # Of the same size, and most of them within the second in which the one before was written.
    for answer in range(1, 6):
        folder.answer(answer)
        wait(stack, lambda answer=answer: stack.invoke("answer") == answer)

    for process in ("web", "worker"):
        (*_, last) = lines(stack, process, "functions.reloaded")
        assert (last["changed"], last["added"], last["removed"]) == (["answer"], [], [])
        assert last["duration_ms"] > 0


def test_the_description_of_the_api_changes_with_the_functions(
    stack: Stack, folder: Folder
) -> None:
    before = stack.request("/openapi.json")
    folder.write(
        "described.py",
        "from runtime import function\n\n@function\ndef described(text: str) -> None: ...\n",
    )

    wait(stack, lambda: "/functions/described" in stack.request("/openapi.json").body["paths"])
    now = stack.request("/openapi.json", headers={"If-None-Match": before.headers["etag"]})
    assert now.status == 200
    assert "described.payload" in now.body["components"]["schemas"]


def test_a_syntax_error_keeps_the_old_version_and_no_request_fails(
    stack: Stack, folder: Folder
) -> None:
    with loop_of_requests(stack) as seen:
        folder.answer("(")
        wait(stack, lambda: failed(stack) == ["reloaded_functions.plain"])
        wait(
            stack,
            lambda: any(
                "plain" in one["module"] for one in lines(stack, "worker", "module.failed")
            ),
        )
        (shown,) = stack.request("/functions").body["failed"]
        before = len(seen)
        wait(stack, lambda: len(seen) > before + 8)
        assert "SyntaxError" in shown["error"]
        assert shown["path"].endswith("plain.py")
        assert "answer" in [f["name"] for f in stack.request("/functions").body["functions"]]

        folder.answer(7)
        wait(stack, lambda: stack.invoke("answer") == 7)
        wait(stack, lambda: failed(stack) == [])

    assert {0, 7} == set(seen)
    assert "SyntaxError" in stack.output()


def test_an_import_error_of_what_two_modules_share_keeps_both(stack: Stack, folder: Folder) -> None:
    folder.write("_shared.py", "NUMBER = 3\n")
    folder.answer("NUMBER", more="from reloaded_functions._shared import NUMBER")
    folder.write(
        "second.py",
        "from runtime import function\nfrom reloaded_functions._shared import NUMBER\n\n"
        "@function\ndef second() -> int:\n    return NUMBER\n",
    )
    wait(stack, lambda: stack.request("/functions/second").status == 200)
    wait(stack, lambda: (stack.invoke("answer"), stack.invoke("second")) == (3, 3))

    folder.write("_shared.py", "NUMBER = nowhere\n")
    wait(stack, lambda: len(failed(stack)) == 2)
    assert (stack.invoke("answer"), stack.invoke("second")) == (3, 3)
    folder.waiting(1)
    wait(stack, lambda: stack.invoke("coroutine") == 1)
    assert (stack.invoke("answer"), stack.invoke("second")) == (3, 3)

    folder.write("_shared.py", "NUMBER = 4\n")
    wait(stack, lambda: (stack.invoke("answer"), stack.invoke("second")) == (4, 4))


@pytest.mark.parametrize("name", ["answer", "coroutine", "thread"])
def test_what_runs_ends_on_the_old_code_while_new_code_runs(
    stack: Stack, folder: Folder, tmp_path: Path, name: str
) -> None:
    note = tmp_path / "begun"
    with ThreadPoolExecutor(1) as pool:
        old = pool.submit(stack.invoke, name, {"seconds": 3, "note": str(note)})
        wait(stack, note.exists)
        folder.answer(5)
        folder.waiting(5)
        wait(stack, lambda: stack.invoke(name) == 5)
        assert not old.done()
        assert old.result(20) == 0


def test_what_runs_and_dies_is_run_again_on_the_new_code(
    stack: Stack, folder: Folder, tmp_path: Path
) -> None:
    note = tmp_path / "pid"
    module = (
        "import os, time\nfrom pathlib import Path\nfrom runtime import function\n\n"
        "@function\ndef dying(note: str) -> int:\n"
        "    Path(note).write_text(str(os.getpid()))\n    time.sleep({seconds})\n"
        "    return {answer}\n"
    )
    folder.write("dying.py", module.format(seconds=60, answer=1))
    wait(stack, lambda: stack.request("/functions/dying").status == 200)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(stack.invoke, "dying", {"note": str(note)})
        wait(stack, lambda: note.exists() and note.read_text() != "")
        folder.write("dying.py", module.format(seconds=0, answer=2))
        folder.answer(5)
        wait(stack, lambda: stack.invoke("answer") == 5)
        os.kill(int(note.read_text()), signal.SIGKILL)
        assert running.result(20) == 2


def test_the_timeout_of_what_runs_on_old_code_is_kept(stack: Stack, folder: Folder) -> None:
    module = (
        "import time\nfrom runtime import function\n\n"
        "@function(timeout={timeout})\ndef slow() -> int:\n    time.sleep(60)\n    return 1\n"
    )
    folder.write("slow.py", module.format(timeout=2))
    wait(stack, lambda: stack.request("/functions/slow").status == 200)
    accepted = stack.request("/functions/slow", body=b"{}").body["id"]
    wait(stack, lambda: stack.request(f"/invocations/{accepted}").body["status"] == "running")
    folder.write("slow.py", module.format(timeout=99))
    folder.answer(5)
    wait(stack, lambda: stack.invoke("answer") == 5)

    def record() -> Any:
        return stack.request(f"/invocations/{accepted}").body

    wait(stack, lambda: record()["status"] == "failed", 20)
    assert record()["error"]["type"] == "Timeout"


def test_a_new_file_is_served_and_what_is_sent_at_once_is_not_lost(
    stack: Stack, folder: Folder
) -> None:
    for number in range(3):
        name = f"new_{number}"
        assert stack.request(f"/functions/{name}").status == 404
        folder.write(
            f"{name}.py",
            f"from runtime import function\n\n@function\ndef {name}() -> int:\n    return 1\n",
        )
        # web may have it a moment before the worker has.
        wait(stack, lambda name=name: stack.request(f"/functions/{name}").status == 200)
        assert stack.invoke(name) == 1


def test_a_file_that_is_removed_takes_its_functions_along(stack: Stack, folder: Folder) -> None:
    (folder.path / "waiting.py").unlink()
    wait(stack, lambda: stack.request("/functions/coroutine").status == 404)

    assert stack.request("/functions/thread", body=b"{}").status == 404
    assert stack.invoke("answer") == 0
    (*_, last) = lines(stack, "web", "functions.reloaded")
    assert last["removed"] == ["coroutine", "thread"]


def test_a_handler_may_become_another_kind(stack: Stack, folder: Folder) -> None:
    folder.write(
        "plain.py",
        "from runtime import function\n\n@function\nasync def answer() -> int:\n    return 9\n",
    )
    wait(stack, lambda: stack.invoke("answer") == 9)
    folder.answer(1)
    wait(stack, lambda: stack.invoke("answer") == 1)


def test_the_lambda_api_describes_the_new_code(stack: Stack, folder: Folder) -> None:
    def digest() -> str:
        answer = stack.request("/2015-03-31/functions/answer/configuration")
        assert answer.body["State"] == "Active"
        return str(answer.body["CodeSha256"])

    before = digest()
    folder.answer(5)
    wait(stack, lambda: digest() != before)
    changed = digest()
    folder.answer("(")
    wait(stack, lambda: failed(stack) != [])
    assert digest() == changed


def test_many_changes_in_a_row_lose_nothing(stack: Stack, folder: Folder) -> None:
    with loop_of_requests(stack) as seen:
        for answer in itertools.chain(range(1, 8), [0]):
            folder.answer(answer)
            wait(stack, lambda answer=answer: stack.invoke("answer") == answer)

    assert {type(one) for one in seen} == {int}
    counts = stack.request("/functions/answer").body["counts"]
    assert counts["accepted"] == counts["succeeded"]


def test_canvas_messages_run_on_the_new_code(stack: Stack, folder: Folder, tmp_path: Path) -> None:
    app = celery.Celery(broker=stack.redis_url, backend=stack.redis_url, set_as_current=False)
    note = tmp_path / "begun"

    def chained(**kwargs: Any) -> Any:
        first = app.signature("answer", kwargs=kwargs, immutable=True)
        return (first | app.signature("answer", immutable=True)).apply_async()

    assert chained().get(timeout=20) == 0
    folder.answer(5)
    wait(stack, lambda: stack.invoke("answer") == 5)
    assert chained().get(timeout=20) == 5

    running = chained(seconds=2, note=str(note))
    wait(stack, note.exists)
    folder.answer(6)
    wait(stack, lambda: stack.invoke("answer") == 6)
    # The one that ran ends on the old code, and what follows it begins on the new.
    assert running.get(timeout=20) == 6
    assert running.parent.get(timeout=20) == 5
    app.close()


def test_a_worker_killed_after_a_change_loses_nothing(stack: Stack, folder: Folder) -> None:
    accepted = [
        stack.request("/functions/answer", body=b'{"seconds": 0.3}').body["id"] for _ in range(6)
    ]
    folder.answer(8)
    wait(stack, lambda: len(lines(stack, "worker", "functions.reloaded")) > 0)
    stack.kill("worker")
    stack.start("worker")

    def statuses() -> set[str]:
        return {stack.request(f"/invocations/{one}").body["status"] for one in accepted}

    wait(stack, lambda: statuses() == {"succeeded"}, 40)
    assert stack.invoke("answer") == 8


def test_an_import_that_takes_longer_than_a_lease_stops_neither_web_nor_what_runs(
    stack: Stack, folder: Folder
) -> None:
    reloads = len(lines(stack, "worker", "functions.reloaded"))
    lapsed = lines(stack, "scheduler", "lease.lapsed")
    running = stack.request("/functions/coroutine", body=b'{"seconds": 6}').body["id"]
    wait(stack, lambda: stack.request(f"/invocations/{running}").body["status"] == "running")
    folder.write("slow_import.py", "import time\n\ntime.sleep(4)\n")
    accepted = []
    while len(lines(stack, "worker", "functions.reloaded")) == reloads:
        answer = stack.request("/functions/answer", body=b"{}")
        assert answer.status == 202
        accepted.append(answer.body["id"])

    def records() -> list[Any]:
        return [stack.request(f"/invocations/{one}").body for one in (running, *accepted[-50:])]

    wait(stack, lambda: {one["status"] for one in records()} == {"succeeded"}, 30)
    assert {one["attempt"] for one in records()} == {1}
    assert lines(stack, "scheduler", "lease.lapsed") == lapsed


def test_switched_off_nothing_is_reloaded(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "settled_functions")
    folder.answer(0)
    with Stack(functions_dir=folder.path, environment={"EYAS_RELOAD": "off"}) as stack:
        folder.answer(1)
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            assert stack.invoke("answer") == 0
        assert lines(stack, "web", "functions.reloaded") == []
        assert lines(stack, "worker", "functions.reloaded") == []


def test_a_schedule_that_is_added_is_run(stack: Stack, folder: Folder) -> None:
    folder.write(
        "timed.py",
        "from runtime import function\n\n\n"
        "@function(every=3600)\ndef timed() -> int:\n    return 1\n",
    )

    def is_planned() -> bool:
        planned = lines(stack, "scheduler", "schedule.planned")
        return "timed" in [line["function"] for line in planned]

    wait(stack, is_planned)
    # The scheduler may know it a moment before web.
    wait(stack, lambda: stack.request("/functions/timed").status == 200)
    assert stack.request("/functions/timed").body["counts"]["accepted"] == 0
    stack.advance(3600)
    wait(stack, lambda: stack.request("/functions/timed").body["counts"]["succeeded"] == 1)
