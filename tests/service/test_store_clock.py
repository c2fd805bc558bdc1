"""An emulator's clock and its reset, step by step."""

from runtime.invocation import Status
from runtime.store import claims, clock, records, upkeep
from tests.store_bench import RETENTION, Bench


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


def test_what_a_reset_has_stopped_is_not_stopped_when_it_comes_again(bench: Bench) -> None:
    one = bench.accept()
    held, _ = bench.run_one()
    bench.run(clock.reset())
    bench.run(clock.forget([f"eyas:invocation:{one}".encode()]))
    assert bench.run(claims.renew("w1", consumes=True)).to_stop == (one,)
    bench.succeed(held, one)
    assert bench.run(claims.renew("w1", consumes=True)).to_stop == ()
