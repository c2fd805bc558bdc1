"""Functions with a limit: who is parked, and who is woken; step by step."""

from runtime.store import function_configs
from runtime.store.claims import Claim
from runtime.store.lifecycle import Cancelling, Verdict
from tests.store_bench import Bench, id_of


def test_the_parked_are_woken_in_their_order_one_for_each_slot(bench: Bench) -> None:
    bench.accept()
    held, running = bench.run_one(concurrency=1)
    ids = [bench.accept() for _ in range(5)]
    for one, raw in bench.claim("w2", room=5):
        assert bench.start(one, id_of(raw), concurrency=1).verdict is Verdict.PARKED
    assert bench.queued() == []

    woken = []
    for _ in ids:
        assert bench.succeed(held, running) is not None
        assert len(bench.queued()) == 1
        held, running = bench.run_one(concurrency=1)
        woken.append(running)

    assert woken == ids
    assert bench.raw.llen("eyas:parked:f") == 0
    bench.assert_conserved()


def test_the_slot_of_a_swept_worker_is_free(bench: Bench) -> None:
    ids = bench.park(1)
    bench.let_lease_lapse("w1")
    bench.sweep()

    # The crashed one is the next again, then the one that waited.
    assert bench.queued_ids()[1:] == ids
    assert bench.raw.scard("eyas:slots:f") == 0
    bench.run_one("w2", concurrency=1)


def test_a_slot_that_nobody_holds_is_found_when_somebody_waits_for_it(bench: Bench) -> None:
    ids = bench.park(1)
    bench.raw.delete("eyas:running:w1", "eyas:in_flight:w1")
    bench.raw.delete("eyas:invocation:id-1")
    for _ in range(2):
        bench.sweep()

    assert bench.queued_ids() == ids
    assert bench.run_one("w2", concurrency=1)[1] == ids[0]


def test_a_woken_one_that_must_not_run_wakes_the_next(bench: Bench) -> None:
    ids = bench.park(3)
    bench.raw.hset(f"eyas:invocation:{ids[0]}", "expires_at", 1)
    bench.cancel(ids[1])
    (held,) = _holds(bench, "w1")
    bench.succeed(held, "id-1")

    first = bench.claim_one("w2")
    assert bench.start(first, ids[0], concurrency=1).verdict is Verdict.EXPIRED
    second = bench.claim_one("w2")
    assert bench.start(second, ids[1], concurrency=1).verdict is Verdict.FINISHED
    assert bench.run_one("w2", concurrency=1)[1] == ids[2]


def _holds(bench: Bench, worker: str) -> list[Claim]:
    return [
        Claim(worker=worker, tag=tag.decode())
        for tag in bench.raw.hkeys(f"eyas:in_flight:{worker}")
    ]


def test_a_woken_one_that_finds_the_slot_taken_is_the_next(bench: Bench) -> None:
    ids = bench.park(3)
    (held,) = _holds(bench, "w1")
    bench.succeed(held, "id-1")
    woken = bench.claim_one("w2")
    overtaking = bench.accept()
    held, name = bench.run_one("w3", concurrency=1)
    assert name == overtaking
    assert bench.start(woken, ids[0], concurrency=1).verdict is Verdict.PARKED

    bench.succeed(held, name)

    assert bench.queued_ids() == [ids[0]]


def test_a_limit_that_was_lifted_lets_all_that_wait_come(bench: Bench) -> None:
    ids = bench.park(4)
    (held,) = _holds(bench, "w1")
    bench.succeed(held, "id-1")

    started = []
    while bench.queued():
        started.append(bench.run_one("w2", concurrency=None)[1])

    assert started == ids
    assert bench.raw.llen("eyas:parked:f") == 0


def test_a_limit_that_was_raised_lets_more_come(bench: Bench) -> None:
    ids = bench.park(3)
    extra = bench.accept()
    assert bench.run_one("w3", concurrency=3)[1] == extra

    bench.sweep()

    assert bench.run_one("w3", concurrency=3)[1] == ids[0]
    assert bench.raw.scard("eyas:slots:f") == 3


def test_a_limit_that_was_lowered_starts_nothing_above_it(bench: Bench) -> None:
    for _ in range(4):
        bench.accept()
    first = bench.run_one(concurrency=3)
    bench.run_one(concurrency=3)
    bench.run_one(concurrency=3)
    held = bench.claim_one()
    assert bench.start(held, "id-4", concurrency=1).verdict is Verdict.PARKED

    bench.succeed(*first)
    held = bench.claim_one()

    assert bench.start(held, "id-4", concurrency=1).verdict is Verdict.PARKED
    assert bench.raw.scard("eyas:slots:f") == 2


def test_a_cancelled_one_that_was_parked_never_runs(bench: Bench) -> None:
    ids = bench.park(2)
    assert bench.cancel(ids[0]) is Cancelling.CANCELLED
    (held,) = _holds(bench, "w1")
    bench.succeed(held, "id-1")

    first = bench.claim_one("w2")
    assert bench.start(first, ids[0], concurrency=1).verdict is Verdict.FINISHED

    assert bench.run_one("w2", concurrency=1)[1] == ids[1]
    bench.assert_conserved()


def test_what_is_reserved_is_a_limit_beside_the_functions_own(bench: Bench) -> None:
    for own, reserved, most in ((None, 2, 2), (3, 1, 1), (1, 3, 1)):
        bench.raw.flushall()
        bench.run(function_configs.reserve("f", reserved))
        for _ in range(most):
            bench.accept()
            bench.run_one(concurrency=own)
        one = bench.accept()
        assert bench.start(bench.claim_one(), one, concurrency=own).verdict is Verdict.PARKED


def park_behind_one(bench: Bench, count: int) -> list[str]:
    """Park some behind the one attempt that is reserved for a function without a limit."""
    bench.run(function_configs.reserve("f", 1))
    bench.accept()
    bench.run_one()
    ids = [bench.accept() for _ in range(count)]
    for held, raw in bench.claim("w2", room=count):
        assert bench.start(held, id_of(raw)).verdict is Verdict.PARKED
    return ids


def test_reserving_more_lets_as_many_come(bench: Bench) -> None:
    ids = park_behind_one(bench, 5)

    bench.run(function_configs.reserve("f", 3))

    assert bench.queued_ids() == ids[:2]
    bench.run_one("w3")
    bench.run_one("w3")
    assert bench.queued() == []


def test_reserving_none_any_more_lets_all_that_wait_come(bench: Bench) -> None:
    ids = park_behind_one(bench, 4)

    bench.run(function_configs.reserve("f", None))

    started = []
    while bench.queued():
        started.append(bench.run_one("w3")[1])
    assert started == ids
    assert bench.raw.llen("eyas:parked:f") == 0
    assert bench.raw.exists("eyas:reserved_concurrency") == 0


def test_with_nothing_reserved_all_are_barred_those_that_wait_too(bench: Bench) -> None:
    ids = bench.park(3)

    bench.run(function_configs.reserve("f", 0))

    barred = []
    while bench.queued():
        held, raw = bench.claim("w3")[0]
        assert bench.start(held, id_of(raw), concurrency=1).verdict is Verdict.BARRED
        assert bench.fail(held, id_of(raw)) is not None
        barred.append(id_of(raw))
    assert barred == ids
    bench.assert_conserved()


def test_a_call_is_throttled_while_all_run_unless_it_is_one_of_them(bench: Bench) -> None:
    def is_throttled(key: str | None = None) -> bool:
        answer = bench.run(function_configs.is_throttled("f", unless_used=key))
        assert isinstance(answer, bool)
        return answer

    assert not is_throttled()
    bench.run(function_configs.reserve("f", 1))
    assert not is_throttled()
    bench.accept()
    held, one = bench.run_one()
    assert is_throttled()
    bench.raw.set("some key", "")
    assert is_throttled("other key")
    assert not is_throttled("some key")
    bench.succeed(held, one)
    assert not is_throttled()
    bench.run(function_configs.reserve("f", 0))
    assert is_throttled()
