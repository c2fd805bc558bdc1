import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.errors import DefinitionError, UnknownFunctionError
from runtime.registry import Registry

_numbers = itertools.count()
Write = Callable[..., Path]

GOOD = "from runtime import function\n@function\ndef {name}() -> None:\n    pass\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a functions folder of a name that was never imported before."""

    def write(**modules: str) -> Path:
        folder = tmp_path / f"functions_{next(_numbers)}"
        folder.mkdir()
        for name, text in modules.items():
            (folder / f"{name}.py").write_text(text)
        return folder

    return write


def test_functions_are_found_in_every_module(write: Write) -> None:
    folder = write(b=GOOD.format(name="two"), a=GOOD.format(name="one"))
    package = folder / "package"
    package.mkdir()
    (package / "__init__.py").write_text(f"from {folder.name}.package.inner import three\n")
    (package / "inner.py").write_text(GOOD.format(name="three"))

    registry = Registry.discover(folder)

    assert list(registry) == ["one", "three", "two"]
    assert registry.failed == ()
    assert registry.find("one").module == f"{folder.name}.a"


def test_helpers_tests_and_imported_functions_are_not_registered_twice(write: Write) -> None:
    folder = write(a=GOOD.format(name="one"), _helper="raise SystemError", test_a="1 / 0")
    (folder / "b.py").write_text(f"from {folder.name}.a import one\n")

    assert list(Registry.discover(folder)) == ["one"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def broken(:", "SyntaxError: invalid syntax"),
        ("import not_installed_anywhere", "No module named 'not_installed_anywhere'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        (GOOD.format(name="one").replace("()", "(*a)"), "DefinitionError: function 'one' takes *a"),
    ],
)
def test_a_broken_module_does_not_take_the_others_down(write: Write, text: str, error: str) -> None:
    folder = write(a=GOOD.format(name="fine"), broken=text, c=GOOD.format(name="also"))

    registry = Registry.discover(folder)

    assert list(registry) == ["also", "fine"]
    (failed,) = registry.failed
    assert failed.module == f"{folder.name}.broken"
    assert failed.path == str(folder / "broken.py")
    assert error in failed.error
    assert "broken.py" in failed.traceback
    assert "registry.py" not in failed.traceback
    assert "importlib" not in failed.traceback


def test_a_name_is_given_once(write: Write) -> None:
    folder = write(a=GOOD.format(name="one"), b=GOOD.format(name="one"))

    registry = Registry.discover(folder)

    assert registry.find("one").module == f"{folder.name}.a"
    assert f"'one' is already defined in {folder.name}.a" in registry.failed[0].error


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="EYAS_FUNCTIONS_DIR"):
        Registry.discover(tmp_path / "nowhere")


def test_a_folder_elsewhere_may_have_the_name_of_an_installed_one(tmp_path: Path) -> None:
    folder = tmp_path / "functions"
    folder.mkdir()
    (folder / "elsewhere.py").write_text(GOOD.format(name="elsewhere"))
    (folder / "_shared.py").write_text("")
    (folder / "sharing.py").write_text("import functions._shared\n" + GOOD.format(name="shares"))

    listed = subprocess.run(
        [sys.executable, "-m", "runtime.cli", "list"],
        env={"EYAS_FUNCTIONS_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )

    assert listed.stdout.split() == ["elsewhere", "shares"]
    assert listed.stderr == ""


def test_a_folder_that_cannot_be_imported_is_named(write: Write) -> None:
    folder = write(__init__="1 / 0")

    with pytest.raises(DefinitionError, match=r"__init__\.py cannot be imported: ZeroDivision"):
        Registry.discover(folder)


def test_a_folder_that_another_module_hides_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "json"
    folder.mkdir()
    with pytest.raises(DefinitionError, match="hidden by another module"):
        Registry.discover(folder)


def test_unknown_names_are_answered_with_those_that_exist() -> None:
    with pytest.raises(UnknownFunctionError, match=r"no function named 'fibb'\. Registered: none"):
        Registry.of([]).find("fibb")


ANSWER = "from runtime import function\n@function\ndef {name}() -> int:\n    return {answer}\n"


def again(folder: Path, registry: Registry) -> Registry:
    return registry.discover_again(folder)


def test_a_module_is_read_anew_even_if_size_and_second_are_the_same(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    folder = write(a=ANSWER.format(name="one", answer=1))
    before = Registry.discover(folder)
    state = (folder / "a.py").stat()
    (folder / "a.py").write_text(ANSWER.format(name="one", answer=2))
    os.utime(folder / "a.py", ns=(state.st_atime_ns, state.st_mtime_ns))

    after = again(folder, before)

    assert (before["one"](), after["one"]()) == (1, 2)
    assert sys.modules[f"{folder.name}.a"].one is after["one"]


def test_a_helper_that_changed_reaches_those_that_use_it(write: Write) -> None:
    folder = write(_shared="NUMBER = 1\n")
    text = f"from {folder.name}._shared import NUMBER\n" + ANSWER.format(
        name="one", answer="NUMBER"
    )
    (folder / "a.py").write_text(text)
    before = Registry.discover(folder)
    (folder / "_shared.py").write_text("NUMBER = 2\n")

    assert again(folder, before)["one"]() == 2


def test_what_a_module_defined_before_it_failed_stays(write: Write) -> None:
    folder = write(a=ANSWER.format(name="one", answer=1), b=ANSWER.format(name="two", answer=1))
    before = Registry.discover(folder)
    module = sys.modules[f"{folder.name}.a"]
    (folder / "a.py").write_text("def broken(:")
    (folder / "b.py").write_text(ANSWER.format(name="two", answer=2))

    broken = again(folder, before)
    assert broken["one"] is before["one"]
    assert broken["two"]() == 2
    assert [failed.module for failed in broken.failed] == [f"{folder.name}.a"]
    assert sys.modules[f"{folder.name}.a"] is module

    still_broken = again(folder, broken)
    assert still_broken["one"] is before["one"]

    (folder / "a.py").write_text(ANSWER.format(name="one", answer=3))
    mended = again(folder, still_broken)
    assert (mended["one"](), mended.failed) == (3, ())


def test_a_function_that_moved_out_of_a_module_that_fails_is_the_new_one(write: Write) -> None:
    folder = write(a=ANSWER.format(name="one", answer=1))
    before = Registry.discover(folder)
    (folder / "a.py").write_text("1 / 0")
    (folder / "b.py").write_text(ANSWER.format(name="one", answer=2))

    assert again(folder, before)["one"]() == 2


def test_a_name_that_is_taken_meanwhile_fails_its_module_only(write: Write) -> None:
    folder = write(a=ANSWER.format(name="one", answer=1), b=ANSWER.format(name="two", answer=1))
    before = Registry.discover(folder)
    (folder / "b.py").write_text(ANSWER.format(name="one", answer=2))

    after = again(folder, before)
    assert (after["one"](), after["two"]()) == (1, 1)
    assert "already defined" in after.failed[0].error


def test_a_file_that_is_gone_takes_functions_and_module_along(write: Write) -> None:
    folder = write(a=ANSWER.format(name="one", answer=1), b=ANSWER.format(name="two", answer=1))
    before = Registry.discover(folder)
    (folder / "b.py").unlink()

    after = again(folder, before)
    assert list(after) == ["one"]
    assert f"{folder.name}.b" not in sys.modules


@pytest.mark.parametrize("how", ["raises", "gone"])
def test_if_the_whole_folder_cannot_be_used_nothing_changes(write: Write, how: str) -> None:
    folder = write(a=ANSWER.format(name="one", answer=1))
    before = Registry.discover(folder)
    modules = {name: each for name, each in sys.modules.items() if name.startswith(folder.name)}
    if how == "raises":
        (folder / "__init__.py").write_text("1 / 0")
    else:
        folder.rename(folder.with_name("elsewhere"))

    after = again(folder, before)
    assert after.functions == before.functions
    (failed,) = after.failed
    assert failed.module == folder.name
    assert ("ZeroDivisionError" if how == "raises" else "no functions folder") in failed.error
    assert {n: each for n, each in sys.modules.items() if n.startswith(folder.name)} == modules
