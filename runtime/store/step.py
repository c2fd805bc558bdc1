"""A step: what to send to the broker, and how to read its answer. Building one does no I/O.

A blocking client (worker, scheduler, CLI), an asyncio client (web) and the worker's transport carry
out the same steps; see `runtime.store.client`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from runtime.store.scripts import digest

T_co = TypeVar("T_co", covariant=True)


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


def load(step: Step[Any]) -> Step[None]:
    """Have the broker keep a step's script."""
    return Step(arguments=("SCRIPT", "LOAD", step.script), parse=lambda _: None)


def pairs(reply: Any) -> dict[bytes, bytes]:
    """Return a script's flat list of fields and values as a dictionary."""
    return dict(zip(reply[::2], reply[1::2], strict=True))


def microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)
