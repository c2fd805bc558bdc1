"""What attempts yield, in the broker; step by step."""

from runtime.invocation import Status
from runtime.store import chunks, claims, clock, keys, records
from runtime.store.chunks import Followed, Kept
from runtime.store.claims import Claim
from tests.store_bench import RETENTION, Bench


def kept(held: Claim, name: str, part: int, text: bytes, *, seconds: float = 60.0) -> Kept:
    return Kept(tag=held.tag, id=name, part=part, chunks=text, seconds=seconds)


def keep(bench: Bench, *parts: Kept) -> int:
    return int(bench.run(chunks.keep("w1", parts)))


def follow(bench: Bench, name: str, *, after: int = 0) -> Followed:
    found = bench.run(chunks.follow(name, after=after))
    assert isinstance(found, Followed)
    return found


def test_parts_are_read_from_where_a_reader_is(bench: Bench) -> None:
    bench.accept()
    held, one = bench.run_one()

    assert keep(bench, kept(held, one, 0, b"[1]"), kept(held, one, 1, b"[2,3]")) == 2

    assert follow(bench, one).parts == (b"[1]", b"[2,3]")
    assert follow(bench, one, after=1).parts == (b"[2,3]",)
    found = follow(bench, one, after=2)
    assert (found.parts, found.status, found.attempt) == ((), Status.RUNNING, 1)


def test_a_part_that_comes_again_or_too_early_is_not_kept(bench: Bench) -> None:
    bench.accept()
    held, one = bench.run_one()
    first = kept(held, one, 0, b"[1]")

    assert keep(bench, first) == 1
    assert keep(bench, first) == 0
    assert keep(bench, kept(held, one, 2, b"[3]")) == 0
    assert keep(bench, first, kept(held, one, 1, b"[2]")) == 1
    assert follow(bench, one).parts == (b"[1]", b"[2]")


def test_only_the_claim_that_runs_it_writes(bench: Bench) -> None:
    bench.accept()
    held, one = bench.run_one()
    bench.run(claims.requeue(held, has_crashed=True))

    assert keep(bench, kept(held, one, 0, b"[1]")) == 0
    again, _ = bench.run_one()
    assert keep(bench, kept(held, one, 0, b"[1]")) == 0
    assert keep(bench, kept(again, one, 0, b"[2]")) == 1
    bench.succeed(again, one)
    assert keep(bench, kept(again, one, 1, b"[3]")) == 0
    assert follow(bench, one).parts == (b"[2]",)


def test_each_attempt_begins_anew(bench: Bench) -> None:
    bench.accept()
    held, one = bench.run_one()
    keep(bench, kept(held, one, 0, b"[1]"), kept(held, one, 1, b"[2]"))
    bench.run(claims.requeue(held, has_crashed=True))

    waiting = follow(bench, one)
    assert (waiting.parts, waiting.is_waiting) == ((), True)
    again, _ = bench.run_one()
    running = follow(bench, one)
    assert (running.parts, running.attempt) == ((), 2)
    # As many as were there before, which do not count.
    assert keep(bench, kept(again, one, 2, b"[3]")) == 0
    assert keep(bench, kept(again, one, 0, b"[4]")) == 1
    assert follow(bench, one).parts == (b"[4]",)


def test_a_reader_gets_no_more_than_it_can_take_at_once(bench: Bench) -> None:
    bench.accept()
    held, one = bench.run_one()
    large = b'["%b"]' % (b"x" * 700_000)
    keep(bench, *(kept(held, one, number, large) for number in range(3)))

    found = follow(bench, one)
    assert (len(found.parts), found.has_more) == (1, True)
    found = follow(bench, one, after=2)
    assert (len(found.parts), found.has_more) == (1, False)

    small = [kept(held, one, number, b"[%d]" % number) for number in range(3, 153)]
    assert keep(bench, *small) == 150
    found = follow(bench, one, after=3)
    assert (found.parts[0], len(found.parts), found.has_more) == (b"[3]", 100, True)
    found = follow(bench, one, after=103)
    assert (found.parts[-1], len(found.parts), found.has_more) == (b"[152]", 50, False)


def test_they_end_in_real_time_however_fast_the_clock_goes(bench: Bench) -> None:
    bench.run(clock.set_scale(1000))
    bench.accept()
    held, one = bench.run_one()
    keep(bench, kept(held, one, 0, b"[1]", seconds=100.0))

    assert 90_000 < bench.raw.pttl(keys.chunks(one)) <= 100_000


def test_a_reset_forgets_them(bench: Bench) -> None:
    bench.accept()
    held, one = bench.run_one()
    keep(bench, kept(held, one, 0, b"[1]"))
    bench.run(clock.reset())
    newer = bench.accept()
    again, _ = bench.run_one()
    keep(bench, kept(again, newer, 0, b"[2]"))
    found = bench.run(clock.find_keys(keys.OF_INVOCATIONS + keys.OF_ATTEMPTS, position=0)).keys

    bench.run(clock.forget(found))

    assert bench.run(records.read(one, retention=RETENTION)) is None
    gone = follow(bench, one)
    assert (gone.status, gone.parts, gone.is_terminal) == (None, (), True)
    assert follow(bench, newer).parts == (b"[2]",)
