"""What is said of exceptions, and what becomes of invocations after them."""

import json
from typing import Any

import pytest

from runtime import PermanentError, Retry, SoftTimeoutError, function
from runtime.errors import InvalidPayloadError, InvalidResultError
from runtime.function import Function
from runtime.policy import DeadLetterReason, GiveUp, TryAgain
from runtime.worker.judging import describe, judge
from runtime.worker.names import PoisonError


@function(retries=2, backoff=0.5, max_age=100)
def patient() -> None:
    """Be tried three times."""


@function
def impatient() -> None:
    """Be tried once."""


def verdict(of: Function[..., Any], error: BaseException, *, failures: int = 1) -> Any:
    return judge(of, error, failures=failures, age_seconds=1.0)


def test_an_error_is_tried_again_until_its_retries_are_used_up() -> None:
    assert isinstance(verdict(patient, ValueError()), TryAgain)
    assert isinstance(verdict(patient, ValueError(), failures=2), TryAgain)
    assert verdict(patient, ValueError(), failures=3) == GiveUp(
        reason=DeadLetterReason.RETRIES_EXHAUSTED
    )
    assert isinstance(verdict(impatient, ValueError()), GiveUp)


@pytest.mark.parametrize("error", [TimeoutError(), SoftTimeoutError("late"), MemoryError()])
def test_what_another_attempt_may_mend_is_tried_again(error: BaseException) -> None:
    assert isinstance(verdict(patient, error), TryAgain)


@pytest.mark.parametrize(
    "error",
    [
        PermanentError("no"),
        InvalidResultError("nan"),
        InvalidPayloadError("patient", []),
        PoisonError("died"),
    ],
)
def test_what_would_end_the_same_way_is_not(error: BaseException) -> None:
    assert verdict(patient, error) == GiveUp(reason=DeadLetterReason.PERMANENT)


def test_a_pause_beyond_its_life_is_not_waited_for() -> None:
    assert verdict(patient, Retry("later", after=200)) == GiveUp(reason=DeadLetterReason.EXPIRED)


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (ValueError("no"), "ValueError"),
        (SystemExit(3), "SystemExit"),
        (SoftTimeoutError("late"), "Timeout"),
        (InvalidResultError("nan"), "InvalidResult"),
        (PoisonError("died"), "Poison"),
    ],
)
def test_errors_have_the_names_of_the_contract(error: BaseException, name: str) -> None:
    failure = describe(error)

    shown = json.loads(failure.error_text)
    assert shown["type"] == failure.error.type == name
    assert set(shown) == {"type", "message", "stack_trace"}


def test_an_error_without_a_text_of_its_own_can_be_described() -> None:
    class RudeError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    assert describe(RudeError()).error.type == "RudeError"
