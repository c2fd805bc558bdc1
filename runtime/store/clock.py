"""Steps of an emulator: what time it is for invocations, and forgetting all of them.

There is one clock for delays, retries, ages and expiry: the broker's (`now_us` in `shared.lua`). An
emulator's can be moved on, and can go faster. Timeouts of attempts and leases of workers are not
concerned: processes live in real time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runtime.errors import LONGEST_SECONDS
from runtime.store.scripts import script
from runtime.store.step import Step, microseconds

_PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The time of invocations: how far it is ahead of the broker's clock, and how much faster."""

    now_us: int
    ahead_us: int
    scale: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Some keys, and where to go on; None at the end."""

    keys: tuple[bytes, ...]
    next_position: int | None


def read() -> Step[Clock]:
    """Read the clock."""
    return Step(script=script("clock"), arguments=(0, "", ""), parse=_clock)


def advance(*, seconds: float) -> Step[Clock | None]:
    """Move the clock on; None if it would be ahead by more than the longest time there may be.

    So all of its times can be written, with the longest delay added.
    """
    return Step(
        script=script("clock"),
        arguments=(microseconds(seconds), "", microseconds(LONGEST_SECONDS)),
        parse=lambda reply: _clock(reply) if reply else None,
    )


def set_scale(scale: float) -> Step[Clock]:
    """Let the clock go on so many times as fast as the broker's."""
    return Step(script=script("clock"), arguments=(0, f"{scale:g}", ""), parse=_clock)


def find_keys(prefixes: tuple[bytes, ...], *, position: int) -> Step[Keys]:
    """Find the keys that begin so, a part of them at a time; one may be found twice."""

    def parse(reply: Any) -> Keys:
        position, found = reply
        return Keys(
            keys=tuple(key for key in found if key.startswith(prefixes)),
            next_position=int(position) or None,
        )

    return Step(arguments=("SCAN", position, "COUNT", _PAGE), parse=parse)


def age(keys: Sequence[bytes], *, seconds: float) -> Step[int]:
    """Let keys end so much earlier that are kept for a time; the answer is how many have ended."""
    return Step(
        script=script("age"),
        keys=tuple(key.decode() for key in keys),
        arguments=(seconds,),
        parse=int,
    )


def forget(keys: Sequence[bytes]) -> Step[int]:
    """Remove keys, but of what was accepted after a reset; the answer is how many."""
    return Step(script=script("forget"), keys=tuple(key.decode() for key in keys), parse=int)


def reset() -> Step[int]:
    """Forget all work, and how far the clock was moved on; the answer is how much was open."""
    return Step(script=script("reset"), parse=int)


def _clock(reply: Any) -> Clock:
    return Clock(now_us=int(reply[0]), ahead_us=int(reply[1]), scale=float(reply[2]))
