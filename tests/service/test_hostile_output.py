"""What others wrote reaches a terminal as plain text, whichever command prints it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from click.testing import CliRunner, Result

from runtime.cli.__main__ import eyas
from runtime.testing import Stack
from tests.asking import accept, record

# A screen that is cleared, a title, a bell, colours by one character of 8 bits, text from right to
# left, and a line that looks like one of ours.
HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07\x00\r\x7f\x9b31m\u202e\u2028\x85\x0b\U000e0001"
    "\nforged         succeeded"
)
MODULE = """
from runtime import function

HOSTILE = {hostile}


@function
def shout(event):
    {docstring}
    exec(compile("raise ValueError(HOSTILE)", HOSTILE.replace("\\x00", ""), "exec"))


@function
def repeat(event):
    print(HOSTILE)
    return [HOSTILE]
"""


@dataclass(frozen=True, kw_only=True)
class Subjects:
    """Invocations that have ended, of a stack whose functions are hostile."""

    stack: Stack
    failed: str
    succeeded: str


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subjects]:
    folder = tmp_path_factory.mktemp("hostile_functions")
    docstring = repr("Shout " + HOSTILE)
    (folder / "hostile.py").write_text(MODULE.format(hostile=ascii(HOSTILE), docstring=docstring))
    (folder / "broken.py").write_text(f"raise ValueError({HOSTILE!a})\n")
    with Stack(functions_dir=folder) as stack:
        stack.wait_until_ready()
        failed, succeeded = (accept(stack, name, HOSTILE) for name in ("shout", "repeat"))
        assert record(stack, failed)["status"] == "failed"
        assert record(stack, succeeded)["status"] == "succeeded"
        yield Subjects(stack=stack, failed=failed, succeeded=succeeded)


@pytest.fixture
def run(subjects: Subjects, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    for name, value in subjects.stack.process_environment.items():
        if name.startswith(("EYAS_", "PORT")):
            monkeypatch.setenv(name, value)

    def run(*arguments: str) -> Result:
        named = {"FAILED": subjects.failed, "SUCCEEDED": subjects.succeeded}
        words = [named.get(word, word) for word in arguments]
        # With colours: without them click itself takes out some of what is looked for.
        return CliRunner().invoke(eyas, words, color=True)

    return run


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("status FAILED", "ValueError: \\x1b[2J"),
        ("status SUCCEEDED", "\\u001b[2J"),
        ("status SUCCEEDED --wait", "\\u001b[2J"),
        ("dead-letters", "ValueError: \\x1b[2J"),
        ("dead-letters show FAILED", "ValueError: \\x1b[2J"),
        ("explain FAILED", "ValueError: \\x1b[2J"),
        ("invoke shout --wait", "ValueError: \\x1b[2J"),
        ("invoke repeat --wait", "\\u009b31m"),
        ("replay FAILED --wait", "ValueError: \\x1b[2J"),
        ("replay SUCCEEDED --wait", "\\u009b31m"),
        ("list", "Shout \\x1b[2J"),
        ("check", "ValueError: \\x1b[2J"),
        ("logs", "\\x1b[2J"),
        ("logs --group", "\\x1b[2J"),
        ("logs --json", "\\u009b31m"),
        ("schedules", "No function"),
        ("top --once", "shout"),
        ("cancel SUCCEEDED", "is finished"),
    ],
)
def test_hostile_text_is_printed_as_text(
    run: Callable[..., Result], command: str, said: str
) -> None:
    result = run(*command.split())

    assert said in result.output
    lines = result.output.split("\n")
    assert all(line.isprintable() for line in lines), result.output
    assert not any(line.startswith("forged") for line in lines)


@pytest.mark.parametrize(
    "command",
    [
        "status FAILED --json",
        "status SUCCEEDED --json",
        "dead-letters --json",
        "dead-letters show FAILED --json",
        "list --json",
        "schedules --json",
    ],
)
def test_json_says_the_same_without_what_is_not_printable(
    run: Callable[..., Result], command: str
) -> None:
    result = run(*command.split())

    assert result.exit_code == 0
    assert all(line.isprintable() for line in result.output.split("\n"))
    assert HOSTILE in _texts(json.loads(result.output)) or command.startswith(("list", "schedules"))


def test_refused_arguments_are_printed_as_text(run: Callable[..., Result]) -> None:
    result = run("invoke", "repeat", HOSTILE.replace("\x00", ""))

    assert result.exit_code == 1
    assert all(line.isprintable() for line in result.output.split("\n"))


def _texts(value: object) -> str:
    """Return all texts in a JSON value as one."""
    if isinstance(value, dict):
        return "".join(map(_texts, value.values()))
    return "".join(map(_texts, value)) if isinstance(value, list) else str(value)
