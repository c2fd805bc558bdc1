"""How long attempts take lately, and what follows from it."""

import math

import pytest

from runtime.worker.pace import Pace

QUICK = 0.000_05
SLOW = 1.0


def noted(*runs: tuple[str, float]) -> Pace:
    pace = Pace()
    for name, seconds in runs:
        pace.note(name, seconds)
    return pace


def test_what_has_never_run_counts_as_slow() -> None:
    pace = noted(("quick", QUICK))

    assert pace.expected_seconds("unknown") == math.inf
    assert pace.expected_seconds("unknown", unknown=0.0) == 0.0
    assert not pace.may_queue("unknown", load_seconds=0.0, handed=1)
    assert pace.may_queue("quick", load_seconds=0.0, handed=1)


def test_without_experience_there_is_room_for_one_each() -> None:
    assert Pace().room(3) == 3


def test_there_is_always_room_for_one_each_and_never_for_too_many() -> None:
    assert noted(("slow", SLOW)).room(4) == 4
    assert noted(("quick", 0.0)).room(64) == 128


@pytest.mark.parametrize("handed", [1, 63])
def test_behind_others_goes_only_what_will_begin_in_a_moment(handed: int) -> None:
    pace = noted(("quick", QUICK), ("slow", SLOW))

    assert pace.may_queue("quick", load_seconds=0.005, handed=handed)
    assert not pace.may_queue("quick", load_seconds=0.0099999, handed=handed)
    assert not pace.may_queue("slow", load_seconds=0.0, handed=handed)
    assert not pace.may_queue("quick", load_seconds=0.0, handed=64)
    assert not pace.may_queue("quick", load_seconds=math.inf, handed=handed)


def test_one_slow_run_is_noticed_at_once_and_forgotten_soon() -> None:
    pace = noted(*[("f", QUICK)] * 100)
    assert pace.may_queue("f", load_seconds=0.0, handed=1)

    pace.note("f", SLOW)
    assert not pace.may_queue("f", load_seconds=0.0, handed=1)
    assert pace.room(2) == 2

    for _ in range(40):
        pace.note("f", QUICK)
    assert pace.may_queue("f", load_seconds=0.0, handed=1)
    assert pace.room(2) > 2


def test_functions_are_told_apart() -> None:
    pace = noted(*[("slow", SLOW), ("quick", QUICK)] * 20)

    assert pace.expected_seconds("slow") == pytest.approx(SLOW, rel=0.01)
    assert pace.expected_seconds("quick") < 0.001
