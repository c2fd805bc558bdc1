"""When a folder has changed, and what is said of it; against real files and the real clock."""

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from runtime.reloading import LiveFunctions, Reloader, snapshot

_numbers = itertools.count()
TEXT = "from runtime import function\n@function\ndef {name}() -> int:\n    return {answer}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / f"reloading_functions_{next(_numbers)}"
    folder.mkdir()
    (folder / "a.py").write_text(TEXT.format(name="one", answer=1))
    (folder / "b.py").write_text(TEXT.format(name="two", answer=1))
    return folder


def until(is_true: Callable[[], bool], *, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def reloaded(reloader: Reloader) -> Any:
    until(reloader.has_changed)
    with capture_logs() as logged:
        reloader.load()
    (line,) = [line for line in logged if line["event"] == "functions.reloaded"]
    return line["changed"], line["added"], line["removed"], line["failed"]


def test_python_files_count_at_any_depth_and_nothing_else_does(folder: Path) -> None:
    before = snapshot(folder)
    for name in (".a.py.swp", ".hidden.py", "a.py~", "notes.txt", "4913"):
        (folder / name).write_text("x")
    (folder / "dangling.py").symlink_to(folder / "nowhere")
    for name in ("__pycache__", ".git"):
        (folder / name).mkdir()
        (folder / name / "c.py").write_text("x")
    assert snapshot(folder) == before

    (folder / "package" / "deep").mkdir(parents=True)
    (folder / "package" / "deep" / "c.py").write_text("x")
    assert len(snapshot(folder)) == len(before) + 1
    assert snapshot(folder / "nowhere") == {}


def test_a_file_that_was_replaced_by_another_of_its_size_and_time_has_changed(folder: Path) -> None:
    before = snapshot(folder)
    beside = folder / ".a.tmp"
    beside.write_text((folder / "a.py").read_text())
    beside.replace(folder / "a.py")

    assert snapshot(folder) != before


def test_nothing_is_said_before_the_files_are_quiet(folder: Path) -> None:
    reloader = Reloader.of(folder)
    assert not reloader.has_changed()
    assert reloader.is_settled

    burst_ends_at = time.monotonic() + 0.4
    saved_at = 0.0
    for number in itertools.count():
        if time.monotonic() > burst_ends_at:
            break
        (folder / "a.py").write_text(TEXT.format(name="one", answer=number))
        saved_at = time.monotonic()
        says = reloader.has_changed()
        # On a machine that stops for long, it may have been quiet for long enough.
        assert not says or time.monotonic() - saved_at > 0.1
        assert not reloader.is_settled
    until(reloader.has_changed)
    assert time.monotonic() - saved_at >= 0.09
    reloader.load()
    assert not reloader.has_changed()


def test_a_change_that_was_taken_back_is_none(folder: Path) -> None:
    reloader = Reloader.of(folder)
    (folder / "c.py").write_text("x")
    reloader.has_changed()
    assert not reloader.is_settled
    (folder / "c.py").unlink()

    assert not reloader.has_changed()
    assert reloader.is_settled


def test_what_changes_while_the_folder_is_read_is_found_afterwards(folder: Path) -> None:
    reloader = Reloader.of(folder)
    path = folder / "c.py"
    path.write_text(
        f"from pathlib import Path\nPath({str(path)!r}).write_text('')\n"
        + TEXT.format(name="three", answer=1)
    )
    until(reloader.has_changed)

    assert "three" in reloader.load()
    until(reloader.has_changed)
    assert "three" not in reloader.load()


def test_the_log_names_what_changed_came_and_went(folder: Path) -> None:
    reloader = Reloader.of(folder)

    (folder / "a.py").write_text(TEXT.format(name="one", answer=22))
    assert reloaded(reloader) == (["one"], [], [], 0)
    (folder / "c.py").write_text(TEXT.format(name="three", answer=1))
    assert reloaded(reloader) == ([], ["three"], [], 0)
    (folder / "b.py").unlink()
    assert reloaded(reloader) == ([], [], ["two"], 0)
    (folder / "_shared.py").write_text("")
    assert reloaded(reloader) == (["one", "three"], [], [], 0)
    (folder / "a.py").write_text("1 / 0")
    assert reloaded(reloader) == ([], [], [], 1)
    assert list(reloader.registry) == ["one", "three"]
    (folder / "package").mkdir()
    (folder / "package" / "__init__.py").write_text(TEXT.format(name="four", answer=1))
    assert reloaded(reloader) == ([], ["four"], [], 1)
    (folder / "package" / "part.py").write_text("")
    assert reloaded(reloader) == (["four"], [], [], 1)


def test_a_module_that_fails_is_logged_with_its_traceback(folder: Path) -> None:
    reloader = Reloader.of(folder)
    (folder / "a.py").write_text("1 / 0")
    until(reloader.has_changed)
    with capture_logs() as logged:
        reloader.load()

    (line,) = [line for line in logged if line["event"] == "module.failed"]
    assert line["log_level"] == "error"
    assert line["module"] == f"{folder.name}.a"
    assert "1 / 0" in line["exception"]


def test_live_functions_are_those_of_now_and_those_that_are_there_always(folder: Path) -> None:
    reloader = Reloader.of(folder)
    own = reloader.registry["two"]
    live = LiveFunctions(reloader, always={"own": own})
    assert list(live) == ["one", "two", "own"]

    (folder / "b.py").unlink()
    until(reloader.has_changed)
    reloader.load()
    live.refresh()
    assert list(live) == ["one", "own"]
    assert live["own"] is own
