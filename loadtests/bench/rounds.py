"""Rounds: every side once, and again, so that drift of the machine meets all sides alike."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from loadtests.bench.load import LoadError
from loadtests.bench.processes import BrokenError


@dataclass(slots=True, kw_only=True)
class Side:
    """What one side gave in each round; `broken` says why it was left out of the rest."""

    name: str
    unit: str
    values: list[float] = field(default_factory=list)
    broken: str | None = None


def interleave(
    sides: Mapping[str, Callable[[], float]],
    *,
    rounds: int,
    unit: str,
    say: Callable[[str], None],
) -> dict[str, Side]:
    """Measure each side once a round. A side that breaks is tried no more, and said to be broken.

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
                side.values.append(sides[name]())
            except (BrokenError, LoadError, OSError, ValueError) as error:
                side.broken = str(error)
                say(f"{name}: BROKEN in round {number + 1}: {error}")
            else:
                say(f"{name}: {side.values[-1]:,.4g} {unit} (round {number + 1})")
    return results
