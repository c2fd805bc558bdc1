"""When requests are due at a constant arrival rate."""

import math

import pytest

from loadtests.arrivals import Arrivals


@pytest.mark.parametrize(
    ("rate", "seconds", "times"),
    [
        (4, 1, [0, 0.25, 0.5, 0.75]),
        (1, 2.5, [0, 1, 2]),
        (0.5, 4, [0, 2]),
        (0.1, 1, [0]),
        (10, 0, []),
    ],
)
def test_arrivals_are_evenly_spaced_from_the_start(
    rate: float, seconds: float, times: list[float]
) -> None:
    arrivals = Arrivals(rate=rate, seconds=seconds)

    assert arrivals.scheduled == len(times)
    assert arrivals.due(1000) == times
    assert arrivals.due(1000) == []


@pytest.mark.parametrize("rate", [0.3, 3, 7, 33.3, 49, 100, 333, 1999.9])
@pytest.mark.parametrize("seconds", [0.1, 0.7, 1, 3, 17.01])
@pytest.mark.parametrize("processes", [1, 2, 3, 7])
def test_processes_share_all_arrivals(rate: float, seconds: float, processes: int) -> None:
    whole = Arrivals(rate=rate, seconds=seconds)
    shares = [
        Arrivals(rate=rate, seconds=seconds, index=i, processes=processes) for i in range(processes)
    ]

    times = whole.due(seconds)

    assert sorted(time for share in shares for time in share.due(seconds)) == times
    assert len(times) == whole.scheduled == shares[-1].scheduled
    assert all(0 <= time < seconds for time in times)


def test_an_arrival_is_due_at_its_time_and_not_before() -> None:
    arrivals = Arrivals(rate=10, seconds=math.inf)

    assert arrivals.due(-0.5) == []
    assert arrivals.seconds_until_next(-0.5) == 0.5
    assert arrivals.due(0) == [0]
    assert arrivals.due(0.0999) == []
    assert arrivals.due(0.1) == [0.1]


def test_late_arrivals_keep_their_own_times() -> None:
    arrivals = Arrivals(rate=100, seconds=10)

    assert arrivals.due(0.035) == [0, 0.01, 0.02, 0.03]
    assert arrivals.seconds_until_next(0.035) == pytest.approx(0.005)
    assert arrivals.seconds_until_next(0.5) == 0


def test_nothing_is_due_after_the_end() -> None:
    arrivals = Arrivals(rate=1, seconds=1)

    assert arrivals.due(5) == [0]
    assert arrivals.seconds_until_next(5) == math.inf
