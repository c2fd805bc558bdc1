"""The texts of the Lua scripts, each put together with what it uses of `shared.lua`."""

import hashlib
import re
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import NamedTuple

# https://valkey.io/topics/eval-intro/#eval-flags
_READS = frozenset(
    {
        "census",
        "consuming",
        "dead_letters",
        "delayed",
        "follow",
        "held",
        "ids",
        "listing",
        "metrics",
        "read",
        "run",
        "schedules",
        "suspects",
        "throttled",
    }
)
# What makes work is refused by a broker whose memory is full. What ends it never is: how else
# would there be room again?
_REFUSED_WHEN_FULL = frozenset({"accept", "fire", "redrive"})
# Scripts that carry out another one as a part of theirs; it is a function then, of this name.
_PARTS = {"fire": "accept"}

_WORD = re.compile(r"\w+")
_COMMENT = re.compile(r"^\s*--.*", re.MULTILINE)
# From `local` at the beginning of a line to the last line that is indented, or closes it.
_DEFINITION = re.compile(
    r"^local (?:function )?(?P<names>\w+(?:, \w+)*).*\n(?:(?:[ \t].*)?\n)*(?:end|\})?", re.MULTILINE
)


class _Definition(NamedTuple):
    text: str
    names: frozenset[str]
    uses: frozenset[str]


@cache
def script(name: str, *, even_if_full: bool = False) -> str:
    """Return the text of a Lua script of this package, after what it uses of what scripts share."""
    if name in _READS:
        flags = " flags=no-writes"
    elif even_if_full or name not in _REFUSED_WHEN_FULL:
        flags = " flags=allow-oom"
    else:
        flags = ""
    own = _text(name)
    if name in _PARTS:
        own = f"local function {_PARTS[name]}_part()\n{_text(_PARTS[name])}end\n{own}"
    return "\n".join((f"#!lua{flags}", *_used_by(own), own))


@cache
def digest(text: str) -> str:
    """Return the name under which the broker knows a script that it has been sent."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _used_by(text: str) -> Iterable[str]:
    """Return the shared definitions that a script names, and those that these name, in order.

    The broker carries out each of them whenever it runs the script: all of them would take it
    longer than most scripts do.
    """
    wanted = _words_of(text)
    used: list[str] = []
    for definition in reversed(_shared()):  # each names only what comes before it
        if definition.names & wanted:
            wanted |= definition.uses
            used.append(definition.text)
    return reversed(used)


@cache
def _shared() -> tuple[_Definition, ...]:
    return tuple(
        _Definition(
            text=found[0].rstrip(),
            names=frozenset(found["names"].split(", ")),
            uses=_words_of(found[0]),
        )
        for found in _DEFINITION.finditer(_text("shared"))
    )


def _words_of(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(_COMMENT.sub("", text)))


def _text(name: str) -> str:
    return resources.files("runtime.store").joinpath(f"{name}.lua").read_text(encoding="utf-8")
