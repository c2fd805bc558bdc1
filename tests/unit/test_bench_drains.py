import pytest

from loadtests.bench.drains import Sized


def test_the_next_drain_is_as_large_as_the_last_was_fast() -> None:
    totals: list[int] = []

    def drain(total: int) -> float:
        totals.append(total)
        return 1000.0

    sized = Sized(drain=drain, total=50, seconds=4)

    assert (sized(), sized()) == (1000, 1000)
    assert totals == [50, 4000]


@pytest.mark.parametrize(("rate", "total"), [(1.0, 300), (1e9, 100_000)])
def test_a_drain_is_neither_too_small_nor_too_large(rate: float, total: int) -> None:
    sized = Sized(drain=lambda _: rate, total=50)
    sized()

    assert sized.total == total
