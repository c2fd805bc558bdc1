"""Which results are read."""

import pytest

from loadtests.sample import Sample


@pytest.mark.parametrize("every", [1, 2, 3, 4, 7, 10, 1000])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 10])
def test_every_nth_of_all_is_read_whatever_the_batches(every: int, size: int) -> None:
    ids = [str(number) for number in range(60)]
    sample = Sample(every=every)

    read = [one for start in range(0, 60, size) for one in sample.of(ids[start : start + size])]

    assert read == ids[::every]


def test_with_zero_none_is_read() -> None:
    sample = Sample(every=0)

    assert [*sample.of(["a", "b"]), *sample.of(["c"])] == []
