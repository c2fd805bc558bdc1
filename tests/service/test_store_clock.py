"""An emulator's clock and its reset, step by step."""

from collections.abc import Callable
from typing import Any

import pytest

from runtime.invocation import Status
from runtime.store import claims, clock, records, upkeep
from runtime.store.claims import Claim
from runtime.store.lifecycle import Verdict
from tests.store_bench import RETENTION, Bench, id_of


def test_a_reset_forgets_nothing_that_was_accepted_since(bench: Bench) -> None:
    before = bench.accept()
    bench.run(clock.reset())
    after = [bench.accept() for _ in range(2)]
    held, buried = bench.run_one()
    bench.fail(held, buried)
    found = [key for key in bench.raw.keys() if key.startswith(b"eyas:invocation:")]  # noqa: SIM118
    assert bench.run(clock.forget(found)) == 1
    assert bench.run(records.read(before, retention=RETENTION)) is None
    assert {bench.status(one) for one in after} == {Status.QUEUED, Status.FAILED}
    assert bench.run(upkeep.take_census()).problems() == []


def test_a_reset_keeps_the_speed_of_the_clock(bench: Bench) -> None:
    bench.run(clock.set_scale(60))
    bench.run(clock.advance(seconds=1000))
    bench.run(clock.reset())
    time = bench.run(clock.read())
    assert (time.scale, time.ahead_us < 1e9) == (60, True)


@pytest.mark.parametrize("is_forgotten_first", [True, False])
@pytest.mark.parametrize("end", [Bench.succeed, Bench.retry, Bench.start])
def test_whatever_ends_about_a_reset_is_not_stopped_when_it_comes_again(
    bench: Bench, end: Callable[[Bench, Claim, str], Any], *, is_forgotten_first: bool
) -> None:
    bench.accept()
    if end is Bench.start:
        ((held, raw),) = bench.claim()
        one = id_of(raw)
    else:
        held, one = bench.run_one()
    bench.run(clock.reset())
    assert bench.run(claims.renew("w1", consumes=True)).to_stop == (one,)
    if not is_forgotten_first:
        end(bench, held, one)
    bench.run(clock.forget([f"eyas:invocation:{one}".encode()]))
    if is_forgotten_first:
        end(bench, held, one)
    assert bench.run(claims.renew("w1", consumes=True)).to_stop == ()


def test_what_is_to_be_cancelled_is_heard_of_though_a_lost_claim_of_it_ends(bench: Bench) -> None:
    one = bench.accept()
    lost, _ = bench.run_one()
    bench.run(claims.requeue(lost, has_crashed=False))
    bench.run_one()
    bench.cancel(one)
    assert bench.start(lost, one).verdict is Verdict.STALE
    assert bench.retry(lost, one) is None
    assert bench.succeed(lost, one) is None
    assert bench.run(claims.renew("w1", consumes=True)).to_stop == (one,)
