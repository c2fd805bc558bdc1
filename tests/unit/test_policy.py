"""What becomes of an invocation after a function error: a pure decision, as a table."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import EyasError, PermanentError, Retry, SoftTimeoutError
from runtime.policy import DeadLetterReason, GiveUp, RetryPolicy, TryAgain, decide

EXHAUSTED = GiveUp(reason=DeadLetterReason.RETRIES_EXHAUSTED)
PERMANENT = GiveUp(reason=DeadLetterReason.PERMANENT)
EXPIRED = GiveUp(reason=DeadLetterReason.EXPIRED)
# `random` never gives 1, but this much less.
ALMOST_ONE = math.nextafter(1.0, 0.0)


class NoSuchCustomerError(PermanentError):
    pass


class BusyError(ConnectionError):
    pass


def decided(
    policy: RetryPolicy,
    error: BaseException,
    *,
    failures: int = 1,
    age: float = 0.0,
    random: float = 0.5,
) -> TryAgain | GiveUp:
    return decide(policy, error=error, failures=failures, age_seconds=age, random=always(random))


def always(number: float) -> Callable[[], float]:
    return lambda: number


@pytest.mark.parametrize(
    ("error", "retry_on", "expected"),
    [
        (ValueError(), (Exception,), TryAgain(delay_seconds=0.5)),
        (SoftTimeoutError(), (Exception,), TryAgain(delay_seconds=0.5)),
        (EyasError(), (Exception,), TryAgain(delay_seconds=0.5)),
        (PermanentError(), (Exception,), PERMANENT),
        (NoSuchCustomerError(), (Exception,), PERMANENT),
        (NoSuchCustomerError(), (NoSuchCustomerError,), PERMANENT),
        (NoSuchCustomerError(), (BaseException,), PERMANENT),
        (BusyError(), (ConnectionError,), TryAgain(delay_seconds=0.5)),
        (ConnectionError(), (BusyError,), PERMANENT),
        (ValueError(), (ConnectionError, TimeoutError), PERMANENT),
        (TimeoutError(), (ConnectionError, TimeoutError), TryAgain(delay_seconds=0.5)),
        (ValueError(), (), PERMANENT),
        (SystemExit(1), (Exception,), TryAgain(delay_seconds=0.5)),
        (KeyboardInterrupt(), (Exception,), TryAgain(delay_seconds=0.5)),
        (SystemExit(1), (ValueError,), PERMANENT),
        (SystemExit(1), (SystemExit,), TryAgain(delay_seconds=0.5)),
        (Retry(after=7), (ConnectionError,), TryAgain(delay_seconds=7)),
        (Retry(after=0), (), TryAgain(delay_seconds=0)),
    ],
    ids=repr,
)
def test_only_what_may_pass_is_tried_again(
    error: BaseException,
    retry_on: tuple[type[BaseException], ...],
    expected: TryAgain | GiveUp,
) -> None:
    assert decided(RetryPolicy(retries=1, retry_on=retry_on), error) == expected


@pytest.mark.parametrize(
    ("retries", "failures", "gives_up"),
    [(0, 1, True), (1, 1, False), (1, 2, True), (3, 3, False), (3, 4, True), (3, 99, True)],
)
@pytest.mark.parametrize("error", [ValueError(), Retry(after=0.5)], ids=["error", "wish"])
def test_a_function_is_run_again_as_often_as_it_has_retries(
    retries: int, failures: int, error: BaseException, *, gives_up: bool
) -> None:
    policy = RetryPolicy(retries=retries, backoff_max_seconds=1)

    decision = decided(policy, error, failures=failures)

    assert decision == (EXHAUSTED if gives_up else TryAgain(delay_seconds=0.5))


def test_a_permanent_error_is_so_even_when_no_retry_is_left() -> None:
    assert decided(RetryPolicy(), PermanentError()) == PERMANENT


@pytest.mark.parametrize(
    ("failures", "longest"),
    [(1, 2.0), (2, 4.0), (3, 8.0), (4, 16.0), (5, 30.0), (6, 30.0), (10**9, 30.0)],
)
def test_the_longest_pause_doubles_up_to_the_cap(failures: int, longest: float) -> None:
    policy = RetryPolicy(retries=10**9, backoff_seconds=2, backoff_max_seconds=30)

    assert decided(policy, ValueError(), failures=failures, random=0) == TryAgain(delay_seconds=0)
    assert decided(policy, ValueError(), failures=failures, random=0.5) == TryAgain(
        delay_seconds=longest / 2
    )
    almost = decided(policy, ValueError(), failures=failures, random=ALMOST_ONE)
    assert isinstance(almost, TryAgain)
    assert longest * 0.999 < almost.delay_seconds < longest


@pytest.mark.parametrize(("backoff", "cap"), [(0, 600), (1, 0), (1e308, 10), (5e-324, 1e308)])
def test_pauses_at_the_ends_of_what_numbers_can_be_are_pauses(backoff: float, cap: float) -> None:
    policy = RetryPolicy(retries=10**9, backoff_seconds=backoff, backoff_max_seconds=cap)
    for failures in (1, 2, 64, 65, 1023, 1025, 10**9):
        decision = decided(policy, ValueError(), failures=failures, random=ALMOST_ONE)
        assert isinstance(decision, TryAgain)
        assert 0 <= decision.delay_seconds <= cap


@pytest.mark.parametrize(
    ("age", "after", "expected"),
    [
        (0, 60, TryAgain(delay_seconds=60)),
        (59, 1, TryAgain(delay_seconds=1)),
        (59, 1.5, EXPIRED),
        (60, 0, TryAgain(delay_seconds=0)),
        (61, 0, EXPIRED),
        (0, 61, EXPIRED),
    ],
)
def test_no_pause_is_made_that_ends_past_the_greatest_age(
    age: float, after: float, expected: TryAgain | GiveUp
) -> None:
    policy = RetryPolicy(retries=1, max_age_seconds=60)

    assert decided(policy, Retry(after=after), age=age) == expected


def test_the_greatest_age_looks_at_the_pause_that_was_drawn() -> None:
    policy = RetryPolicy(retries=1, backoff_seconds=10, max_age_seconds=60)

    assert decided(policy, ValueError(), age=55, random=0.4) == TryAgain(delay_seconds=4)
    assert decided(policy, ValueError(), age=55, random=0.6) == EXPIRED


def test_without_a_greatest_age_nothing_is_too_old() -> None:
    assert decided(RetryPolicy(retries=1), Retry(after=1), age=1e12) == TryAgain(delay_seconds=1)


@pytest.mark.parametrize("after", [-1, float("inf"), float("nan"), -0.001])
def test_a_wish_for_a_time_that_never_comes_is_refused(after: float) -> None:
    with pytest.raises(ValueError, match="expected seconds from 0"):
        Retry(after=after)


SECONDS = st.floats(min_value=0, max_value=1e9)
POLICIES = st.builds(
    RetryPolicy,
    retries=st.integers(0, 10),
    backoff_seconds=SECONDS,
    backoff_max_seconds=SECONDS,
    retry_on=st.sampled_from(((Exception,), (ValueError,), (OSError, ValueError), ())),
    max_age_seconds=st.none() | SECONDS,
)
ERRORS = st.one_of(
    st.sampled_from(
        (ValueError(), OSError(), BusyError(), PermanentError(), SystemExit(), KeyError())
    ),
    SECONDS.map(lambda after: Retry(after=after)),
)
FAILURES = st.integers(1, 12) | st.integers(1, 10**12)
DRAWN = st.floats(min_value=0, max_value=1, exclude_max=True)


@given(policy=POLICIES, error=ERRORS, failures=FAILURES, age=SECONDS, drawn=DRAWN)
def test_every_decision_keeps_the_policy(
    policy: RetryPolicy, error: BaseException, failures: int, age: float, drawn: float
) -> None:
    decision = decided(policy, error, failures=failures, age=age, random=drawn)

    if isinstance(decision, GiveUp):
        if decision.reason is DeadLetterReason.RETRIES_EXHAUSTED:
            assert failures > policy.retries
        elif decision.reason is DeadLetterReason.EXPIRED:
            assert policy.max_age_seconds is not None
        else:
            assert decision.reason is DeadLetterReason.PERMANENT
            assert not isinstance(error, Retry)
        return
    assert failures <= policy.retries
    assert not isinstance(error, PermanentError)
    if isinstance(error, Retry):
        assert decision.delay_seconds == error.after_seconds
    else:
        assert 0 <= decision.delay_seconds <= policy.backoff_max_seconds
        assert decision.delay_seconds <= policy.backoff_seconds * 2.0 ** min(failures - 1, 100)
    if policy.max_age_seconds is not None:
        assert age + decision.delay_seconds <= policy.max_age_seconds


@given(policy=POLICIES, failures=FAILURES, drawn=st.lists(DRAWN, min_size=2, max_size=2))
def test_a_greater_number_drawn_is_no_shorter_pause(
    policy: RetryPolicy, failures: int, drawn: list[float]
) -> None:
    shorter, longer = (
        decided(policy, ValueError(), failures=failures, random=one) for one in sorted(drawn)
    )
    if isinstance(longer, TryAgain):
        assert isinstance(shorter, TryAgain)
        assert shorter.delay_seconds <= longer.delay_seconds
