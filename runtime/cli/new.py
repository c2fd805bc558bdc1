"""`eyas new`."""

import keyword
import re
from pathlib import Path

import click

from runtime.cli import common

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")

_FUNCTION = '''"""{title}."""

from runtime import Context, function


@function(timeout=30)
def {name}(subject: str, context: Context, *, times: int = 1) -> str:
    """Say here what it does: the first line is shown by `eyas list`."""
    context.log.info("{name}.greeted", times=times)
    return ", ".join([f"Hello {{subject}}"] * times)
'''

_TEST = """import pytest

from {package}.{name} import {name}
from runtime.errors import InvalidPayloadError
from runtime.testing import Stack, invoke


def test_{name}_greets() -> None:
    assert invoke({name}, {{"subject": "Ada", "times": 2}}) == "Hello Ada, Hello Ada"


def test_{name}_refuses_a_payload_without_a_subject() -> None:
    with pytest.raises(InvalidPayloadError, match="/subject: required"):
        invoke({name}, {{}})


def test_{name}_runs_on_a_real_stack(eyas_stack: Stack) -> None:
    assert eyas_stack.invoke("{name}", {{"subject": "Ada"}}) == "Hello Ada"
"""


@click.command()
@click.argument("name")
def new(*, name: str) -> None:
    """Write functions/NAME.py, a function to start from, and its test."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise click.ClickException(
            f"{name!r}: expected lower-case letters, digits and underscores, starting with a letter"
        )
    folder = common.settings().functions_dir
    package = folder.resolve().name
    files = {
        folder / f"{name}.py": _FUNCTION.format(
            name=name, title=name.replace("_", " ").capitalize()
        ),
        Path("tests") / "functions" / f"test_{name}.py": _TEST.format(name=name, package=package),
    }
    for path in files:
        if path.exists():
            raise click.ClickException(f"{path} exists already")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        click.echo(f"wrote {path}")
    click.echo(f'With a stack running: eyas invoke {name} \'{{"subject": "Ada"}}\' --wait')
