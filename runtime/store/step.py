"""A step: what to send to the broker, and how to read its answer. Building one does no I/O.

A blocking client (worker, scheduler, CLI), an asyncio client (web) and the worker's transport carry
out the same steps; see `runtime.store.client`.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Generic[T_co]):
    """One atomic exchange with the broker: a Lua script, or one plain command."""

    parse: Callable[[Any], T_co]
    script: str | None = None
    keys: tuple[str, ...] = ()
    arguments: tuple[Any, ...] = ()

    @property
    def command(self) -> tuple[Any, ...]:
        """What is sent: of a script only its digest, which the broker may not know yet."""
        if self.script is None:
            return self.arguments
        return ("EVALSHA", digest(self.script), len(self.keys), *self.keys, *self.arguments)


@cache
def script(name: str, *, even_if_full: bool = False) -> str:
    """Return the text of a Lua script of this package, with what all scripts share before it."""
    if name in _READS:
        flags = " flags=no-writes"
    elif even_if_full or name not in _REFUSED_WHEN_FULL:
        flags = " flags=allow-oom"
    else:
        flags = ""
    part = ""
    if name in _PARTS:
        part = f"local function {_PARTS[name]}_part()\n{_text(_PARTS[name])}end\n"
    return f"#!lua{flags}\n{_text('shared')}{part}{_text(name)}"


@cache
def digest(text: str) -> str:
    """Return the name under which the broker knows a script that it has been sent."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def load(step: Step[Any]) -> Step[None]:
    """Have the broker keep a step's script."""
    return Step(arguments=("SCRIPT", "LOAD", step.script), parse=lambda _: None)


def pairs(reply: Any) -> dict[bytes, bytes]:
    """Return a script's flat list of fields and values as a dictionary."""
    return dict(zip(reply[::2], reply[1::2], strict=True))


def microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _text(name: str) -> str:
    return resources.files("runtime.store").joinpath(f"{name}.lua").read_text(encoding="utf-8")
