import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runtime.cli.__main__ import eyas

FOLDER = Path(__file__).parents[2] / "functions"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("EYAS_FUNCTIONS_DIR", str(FOLDER))

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(eyas, arguments)

    return run


def test_help_lists_every_command(run: Any) -> None:
    result = run("--help")

    assert result.exit_code == 0
    for command in (
        "cancel",
        "check",
        "dead-letters",
        "event",
        "explain",
        "invoke",
        "list",
        "logs",
        "new",
        "replay",
        "status",
        "tail",
        "top",
    ):
        assert f"\n  {command} " in result.output
        assert run(command, "--help").exit_code == 0


def test_list_shows_names_and_summaries(run: Any) -> None:
    result = run("list")

    assert "\nfib             Return the Fibonacci numbers" in result.output
    listed = json.loads(run("list", "--json").output)
    assert listed["failed"] == []
    assert "fib" in [f["name"] for f in listed["functions"]]


def test_check_reports_broken_modules_with_their_traceback(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "checked_functions"
    folder.mkdir()
    (folder / "broken.py").write_text("x = 1 / 0\n")
    monkeypatch.setenv("EYAS_FUNCTIONS_DIR", str(folder))

    result = run("check")

    assert result.exit_code == 1
    assert "checked_functions.broken" in result.output
    assert "ZeroDivisionError: division by zero" in result.output
    assert "x = 1 / 0" in result.output
    assert run("list").exit_code == 0


def test_check_reports_bad_settings(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EYAS_WORKERS", "many")
    monkeypatch.setenv("PORT", "x")

    result = run("check")

    assert result.exit_code == 1
    assert "EYAS_WORKERS='many'" in result.output
    assert "PORT='x'" in result.output


def test_new_writes_a_function_and_its_test(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EYAS_FUNCTIONS_DIR", "my_functions")

    assert run("new", "greet_all").exit_code == 0

    assert "def greet_all(" in Path("my_functions/greet_all.py").read_text()
    written = Path("tests/functions/test_greet_all.py").read_text()
    assert "from my_functions.greet_all import greet_all" in written
    assert "greet_all" in run("list").output
    again = run("new", "greet_all")
    assert again.exit_code == 1
    assert "exists already" in again.output


@pytest.mark.parametrize("name", ["Greet", "1a", "a-b", "class", "../a", ""])
def test_new_refuses_names_that_are_no_modules(run: Any, name: str) -> None:
    assert run("new", name).exit_code != 0


@pytest.mark.parametrize(
    "command",
    [
        ("invoke", "fib"),
        ("status", "some-id"),
        ("cancel", "some-id"),
        ("replay", "some-id"),
        ("dead-letters",),
        ("dead-letters", "redrive", "--all"),
    ],
)
def test_without_a_stack_the_error_is_one_line(run: Any, command: tuple[str, ...]) -> None:
    result = run(*command, "--url", "http://127.0.0.1:9")

    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert "no stack answers at http://127.0.0.1:9" in result.output
    assert "make start" in result.output
