import itertools
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
