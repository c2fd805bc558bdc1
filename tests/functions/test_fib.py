import pytest

from functions.fib import fib
from runtime.errors import InvalidPayloadError
from runtime.testing import Stack, invoke


@pytest.mark.parametrize(
    ("number", "expected"), [(-1, []), (0, [0]), (1, [0, 1]), (3, [0, 1, 1, 2])]
)
def test_fib_lists_the_numbers_up_to_an_index(number: int, expected: list[int]) -> None:
    assert invoke(fib, {"number": number}) == expected
    assert fib(number) == expected


def test_fib_gives_the_last_number_alone() -> None:
    assert invoke(fib, {"number": 10, "last_only": True}) == [55]
    assert invoke(fib, {"number": -1, "last_only": True}) == []


def test_fib_is_exact_past_64_bits() -> None:
    assert invoke(fib, {"number": 100})[-1] == 354224848179261915075


@pytest.mark.parametrize("payload", [{}, {"number": "1"}, {"number": 1, "delay_seconds": -1}])
def test_fib_refuses_other_payloads(payload: dict[str, object]) -> None:
    with pytest.raises(InvalidPayloadError):
        invoke(fib, payload)


def test_fib_runs_on_a_stack(eyas_stack: Stack) -> None:
    assert eyas_stack.invoke("fib", {"number": 3}) == [0, 1, 1, 2]
