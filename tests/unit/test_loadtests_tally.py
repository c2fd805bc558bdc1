"""Counting, and adding up what several processes counted."""

import json
import math
import random
from collections import Counter

import pytest

from loadtests.tally import Histogram, Tally, bucket


def histogram(*durations_ms: float) -> Histogram:
    made = Histogram()
    for duration in durations_ms:
        made.add(duration)
    return made


@pytest.mark.parametrize(
    ("duration", "kept"),
    [
        (0, 0),
        (7, 7),
        (999, 999),
        (1234, 1230),
        (1236, 1240),
        (9999, 10000),
        (123456, 123000),
        (98765432, 98800000),
    ],
)
def test_durations_keep_three_figures(duration: int, kept: int) -> None:
    assert bucket(duration) == kept


@pytest.mark.parametrize(
    ("durations_ms", "percent", "found"),
    [
        ([], 50, None),
        ([5], 50, 5),
        ([5], 99.9, 5),
        ([1, 2, 3, 4], 50, 2),
        ([1, 2, 3, 4], 51, 3),
        ([1, 2, 3, 4], 100, 4),
        ([1] * 99 + [7], 99, 1),
        ([1] * 98 + [7, 7], 99, 7),
        ([-3], 50, 0),
        ([1.2361], 50, 1.236),  # rounded up, and not beyond the highest
    ],
)
def test_a_percentile_is_what_so_many_do_not_exceed(
    durations_ms: list[float], percent: float, found: float | None
) -> None:
    assert histogram(*durations_ms).percentile(percent) == found


def test_percentiles_of_several_processes_are_those_of_all_requests() -> None:
    pick = random.Random(1)  # noqa: S311  a fixed sample
    durations = [pick.expovariate(1 / 20) for _ in range(3000)]
    merged = Histogram()
    for part in (durations[:100], durations[100:900], durations[900:]):
        merged.merge(histogram(*part))

    assert merged == histogram(*durations)
    exact = sorted(durations)
    for percent in (50, 95, 99, 99.9):
        expected = exact[math.ceil(len(exact) * percent / 100) - 1]
        assert merged.percentile(percent) == pytest.approx(expected, rel=0.006)


def test_what_came_since_an_earlier_copy() -> None:
    earlier = histogram(1, 2)
    later = earlier.copy()
    later.add(2)
    later.add(9)

    assert later.since(earlier).counts == Counter({2000: 1, 9000: 1})
    assert len(earlier) == 2


def test_tallies_travel_and_add_up() -> None:
    one = Tally(sent=3, accepted=2, measured=1, unknown=1, ids=["a"], cpu_seconds=0.5)
    one.failures["status 500"] += 1
    one.latency.add(12)
    other = Tally(sent=1, failures=Counter({"status 500": 2}), ids=["b"], lateness=histogram(3))

    total = Tally.from_wire(one.to_wire())
    total.merge(Tally.from_wire(other.to_wire()))

    assert (total.sent, total.accepted, total.measured, total.unknown) == (4, 2, 1, 1)
    assert total.failures == {"status 500": 3}
    assert total.ids == ["a", "b"]
    assert total.latency == histogram(12)
    assert total.lateness == histogram(3)
    assert total.cpu_seconds == 0.5
    json.dumps(one.to_wire())
