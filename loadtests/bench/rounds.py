"""Rounds: every side once, and again, so that drift of the machine meets all sides alike."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from loadtests.bench.plan import LoadError
from loadtests.bench.processes import BrokenError
from loadtests.bench.stolen import Times

_TRIES = 3
_MOST_STOLEN = 0.08


@dataclass(slots=True, kw_only=True)
class Side:
    """What one side gave in each round; `broken` says why it was left out of the rest.

    `stolen` is what part of the time the host gave to others meanwhile.
    """

    name: str
    unit: str
    values: list[float] = field(default_factory=list)
    stolen: list[float] = field(default_factory=list)
    broken: str | None = None


def interleave(
    sides: Mapping[str, Callable[[], float]],
    *,
    rounds: int,
    unit: str,
    say: Callable[[str], None],
    now: Callable[[], Times] = Times.now,
) -> dict[str, Side]:
    """Measure each side once a round. A side that breaks is tried no more, and said to be broken.

    While the host of this machine gives a twelfth of the time to others, it is measured again,
    twice at most, and what was disturbed least counts.

    Sides take turns in going first: who follows a side that leaves the machine busy changes.
    """
    results = {name: Side(name=name, unit=unit) for name in sides}
    names = list(sides)
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            side = results[name]
            if side.broken is not None:
                continue
            try:
                value, stolen = _undisturbed(name, sides[name], say, now)
            except (BrokenError, LoadError, OSError, ValueError) as error:
                side.broken = str(error)
                say(f"{name}: BROKEN in round {number + 1}: {error}")
            else:
                side.values.append(value)
                side.stolen.append(stolen)
                say(f"{name}: {value:,.4g} {unit} (round {number + 1}; {stolen:.0%} stolen)")
    return results


def _undisturbed(
    name: str,
    measure: Callable[[], float],
    say: Callable[[str], None],
    now: Callable[[], Times],
) -> tuple[float, float]:
    """Return a figure, and what part of the time was stolen while it was measured.

    Raises what the last try has raised, if none gave a figure.
    """
    tried: list[tuple[float, float]] = []
    for tries_left in reversed(range(_TRIES)):
        before = now()
        try:
            value = measure()
        except (BrokenError, LoadError, OSError, ValueError) as error:
            stolen = before.share_until(now())
            if not tried and (stolen <= _MOST_STOLEN or not tries_left):
                raise
            say(f"{name}: {error}; {stolen:.0%} of the time was stolen")
        else:
            stolen = before.share_until(now())
            tried.append((value, stolen))
        if stolen <= _MOST_STOLEN:
            break
    return min(tried, key=lambda each: each[1])
