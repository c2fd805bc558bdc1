import pytest

from loadtests.bench.spread import Spread, marked_rate, ratio


def test_a_spread_is_the_median_and_the_range() -> None:
    assert Spread.of([5, 1, 3]) == Spread(median=3, low=1, high=5)


def test_a_ratio_divides_what_was_measured_in_the_same_round() -> None:
    # The machine was half as fast in the second round; the ratio is the same.
    assert ratio([10, 5, 11], [5, 2.5, 5]) == Spread(median=2, low=2, high=2.2)


def test_a_ratio_of_different_numbers_of_rounds_is_an_error() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratio([1, 2], [1])


def test_the_text_has_a_range_only_if_there_is_one() -> None:
    assert Spread.of([2]).text(str) == "2"
    assert Spread.of([1, 2, 4]).text(str) == "2 (1 to 4)"


def test_the_rate_is_that_between_the_marks() -> None:
    # Starts slowly, ends slowly, and 100 a second between.
    samples = [(0.0, 0), (10.0, 0), (11.0, 100), (19.0, 900), (30.0, 1000)]

    assert marked_rate(samples, 1000) == pytest.approx(100)


def test_marks_are_interpolated() -> None:
    assert marked_rate([(0.0, 0), (1.0, 100)], 100) == pytest.approx(100)


def test_a_mark_that_was_not_passed_is_an_error() -> None:
    with pytest.raises(ValueError, match="mark of 90"):
        marked_rate([(0.0, 0), (1.0, 50)], 100)
