"""Leases: which have lapsed, and what they leave; step by step."""

from runtime.store import claims
from runtime.store.claims import LEASE_SECONDS
from tests.store_bench import Bench, message


def test_a_lease_that_lapsed_while_nobody_swept_is_prolonged(bench: Bench) -> None:
    bench.accept()
    bench.claim_one()
    bench.run(claims.renew("w1", consumes=True))
    now = bench.now_us()
    bench.raw.set("eyas:swept_at", now - 60_000_000)
    bench.raw.zadd("eyas:leases", {"w1": now - 57_000_000})

    assert bench.run(claims.sweep(gap_seconds=2.0)) == []

    until = bench.raw.zscore("eyas:leases", "w1")
    assert now < until <= bench.now_us() + LEASE_SECONDS * 1e6
    assert bench.queued() == []


def test_a_lease_that_lapsed_before_the_gap_has_still_lapsed(bench: Bench) -> None:
    bench.accept()
    bench.claim_one()
    now = bench.now_us()
    bench.raw.set("eyas:swept_at", now - 60_000_000)
    bench.raw.zadd("eyas:leases", {"w1": now - 65_000_000})

    (lapsed,) = bench.run(claims.sweep(gap_seconds=2.0))

    assert (lapsed.worker, lapsed.messages) == ("w1", 1)
    assert 4.9 < lapsed.since_seconds < 20
    assert len(bench.queued()) == 1


def test_a_lease_that_lapsed_while_sweeps_went_on_has_lapsed(bench: Bench) -> None:
    bench.accept()
    bench.claim_one()
    now = bench.now_us()
    bench.raw.set("eyas:swept_at", now - 1_000_000)
    bench.raw.zadd("eyas:leases", {"w1": now - 10_000})

    (lapsed,) = bench.run(claims.sweep(gap_seconds=60))

    assert lapsed.worker == "w1"


def test_a_clock_set_back_makes_no_lease_longer_than_a_lease(bench: Bench) -> None:
    bench.accept()
    bench.claim_one()
    now = bench.now_us()
    bench.raw.set("eyas:swept_at", now + 3_600_000_000)
    bench.raw.zadd("eyas:leases", {"w1": now + 3_601_000_000})

    assert bench.run(claims.sweep(gap_seconds=2.0)) == []

    until = bench.raw.zscore("eyas:leases", "w1")
    assert now < until <= bench.now_us() + LEASE_SECONDS * 1e6


def test_a_lease_that_cannot_be_is_cut_by_the_first_sweep(bench: Bench) -> None:
    bench.accept()
    bench.claim_one()
    bench.raw.zadd("eyas:leases", {"w1": bench.now_us() + 3_600_000_000})

    assert bench.run(claims.sweep(gap_seconds=2.0)) == []

    assert bench.raw.zscore("eyas:leases", "w1") <= bench.now_us() + LEASE_SECONDS * 1e6


def test_a_lapse_is_told_at_the_next_renewal_once(bench: Bench) -> None:
    assert bench.run(claims.renew("w1", consumes=True)).has_lapsed is False
    bench.let_lease_lapse("w1")

    assert bench.run(claims.count_consuming()) == 0
    assert bench.run(claims.renew("w1", consumes=True)).has_lapsed is True
    assert bench.run(claims.renew("w1", consumes=True)).has_lapsed is False
    assert bench.run(claims.count_consuming()) == 1


def test_a_worker_that_was_forgotten_leaves_no_key(bench: Bench) -> None:
    bench.accept()
    bench.run(claims.renew("w1", consumes=True))
    bench.claim_one()
    bench.let_lease_lapse("w1", seconds=100)
    assert len(bench.sweep()) == 1
    assert bench.sweep() == []

    assert sorted(bench.raw.keys("*w1*")) == []
    assert bench.raw.zcard("eyas:leases") == 0
    assert bench.raw.scard("eyas:consuming") == 0


def test_a_message_that_landed_goes_back_to_the_queue_it_came_from(bench: Bench) -> None:
    bench.raw.lpush("other", message("id-1"), message("id-2"))
    # The claim comes first, and gives the worker its lease.
    assert not bench.run(claims.claim("w1", queues=(), room=1, landing_queue="other"))
    bench.accept()
    bench.claim_one()
    bench.run(claims.renew("w1", consumes=True, landing_queue="other"))
    assert bench.run(claims.wait_for_message("w1", queue="other", seconds=1))
    bench.let_lease_lapse("w1")
    bench.sweep()

    assert bench.queued_ids("other") == ["id-1", "id-2"]
