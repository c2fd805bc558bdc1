"""The Lua scripts, as they are put together."""

import re
from importlib import resources

import pytest

from runtime.store.scripts import script

LUA = resources.files("runtime.store")
NAMES = sorted(file.name.removesuffix(".lua") for file in LUA.iterdir() if file.name[-4:] == ".lua")
SHARED = LUA.joinpath("shared.lua").read_text(encoding="utf-8")


def code_of(text: str) -> list[str]:
    """Return the lines of a script that are neither empty nor a comment."""
    return [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("--")
    ]


def defined_in(text: str) -> list[str]:
    return [
        name
        for names in re.findall(r"^local (?:function )?(\w+(?:, \w+)*)", text, re.MULTILINE)
        for name in names.split(", ")
    ]


def test_a_script_has_what_it_names_and_what_that_names_in_their_order() -> None:
    text = script("acknowledge")
    assert defined_in(text) == [
        "record_of",
        "in_flight_of",
        "running_of",
        "cancelling_of",
        "slots_of",
        "parked_of",
        "wake",
        "let_go",
    ]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "shared"])
def test_what_a_script_has_of_the_shared_ones_is_whole(name: str) -> None:
    own = code_of(LUA.joinpath(f"{name}.lua").read_text(encoding="utf-8"))
    flags, *code = code_of(script(name))
    assert flags.startswith("#!lua")
    assert code[-len(own) :] == own
    shared = set(defined_in(SHARED))
    had = [one for one in defined_in("\n".join(code[: -len(own)])) if one in shared]
    for one in shared - set(had):
        assert not re.search(rf"\b{one}\(", "\n".join(code)), f"{one} is called, and not there"


def test_all_that_is_shared_is_a_definition() -> None:
    """Anything else at the outermost level would be in no script."""
    outermost = [line for line in code_of(SHARED) if not line.startswith((" ", "local "))]
    assert set(outermost) == {"end"}
