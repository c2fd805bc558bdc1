"""The steps on schedules: each time is run once, whoever asks however often."""

import threading
from dataclasses import replace

from runtime.invocation import Status
from runtime.schedule import id_of_run
from runtime.store import Store, clock, schedules
from runtime.store.accepting import Accepting, Offer
from runtime.store.schedules import State
from runtime.testing import Stack
from tests.store_bench import Bench, an_invocation, message

NAME = "f"
MINUTE_US = 60_000_000


def planned(bench: Bench, *, in_us: int = -1, definition: str = "a") -> State:
    """Plan a schedule, whatever is known of it; return what is known then."""
    found = bench.run(schedules.read())
    seen = found.state(NAME)
    due = found.now_us + in_us
    assert bench.run(schedules.plan(NAME, seen, definition=definition, due_at_us=due))
    state = bench.run(schedules.read()).state(NAME)
    assert isinstance(state, State)
    assert (state.definition, state.due_at_us) == (definition, due)
    return state


def offer_for(seen: State) -> Offer:
    invocation_id = id_of_run(NAME, seen.due_at_us or 0)
    return Offer.of([(an_invocation(invocation_id, NAME), message(invocation_id))])


def fire(bench: Bench, seen: State) -> bool:
    next_us = (seen.due_at_us or 0) + MINUTE_US
    answer = bench.run(schedules.fire(offer_for(seen), NAME, seen, next_due_at_us=next_us))
    assert isinstance(answer, bool)
    return answer


def state(bench: Bench) -> State:
    found = bench.run(schedules.read()).state(NAME)
    assert isinstance(found, State)
    return found


def test_a_time_is_run_once(bench: Bench) -> None:
    seen = planned(bench)

    assert fire(bench, seen)
    assert not fire(bench, seen)

    (ran,) = bench.queued_ids()
    assert ran == id_of_run(NAME, seen.due_at_us or 0)
    assert bench.status(ran) is Status.QUEUED
    after = state(bench)
    assert after.due_at_us == (seen.due_at_us or 0) + MINUTE_US
    assert after.last_invocation_id == ran
    assert after.last_run_at_us == bench.record(ran).accepted_at_us
    assert bench.counts() == {"accepted": 1, "queued": 1}
    bench.assert_conserved()


def test_a_time_is_run_once_by_many_at_once(bench: Bench, broker: Stack) -> None:
    seen = planned(bench)
    stores = [Store(broker.redis_url) for _ in range(8)]
    gate = threading.Barrier(len(stores))
    answers: list[bool] = []

    def try_it(store: Store) -> None:
        step = schedules.fire(
            offer_for(seen), NAME, seen, next_due_at_us=(seen.due_at_us or 0) + MINUTE_US
        )
        gate.wait()
        answers.append(store.run(step))

    threads = [threading.Thread(target=try_it, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()

    assert sorted(answers) == [False] * 7 + [True]
    assert len(bench.queued_ids()) == 1


def test_nothing_runs_before_its_time(bench: Bench) -> None:
    seen = planned(bench, in_us=MINUTE_US)

    assert not fire(bench, seen)
    bench.run(clock.advance(seconds=60))
    assert fire(bench, seen)
    assert len(bench.queued_ids()) == 1


def test_what_was_changed_meanwhile_is_not_run(bench: Bench) -> None:
    seen = planned(bench)
    other = replace(seen, definition="b")
    later = replace(seen, due_at_us=(seen.due_at_us or 0) - 1)

    assert not fire(bench, other)
    assert not fire(bench, later)
    assert not bench.run(schedules.plan(NAME, other, definition="c", due_at_us=5))
    assert not bench.run(schedules.plan(NAME, later, definition="c", due_at_us=5))
    assert state(bench) == seen
    planned(bench, definition="b")
    assert not fire(bench, seen)
    assert bench.queued_ids() == []


def test_what_is_paused_is_not_run(bench: Bench) -> None:
    seen = planned(bench)
    bench.run(schedules.pause(NAME))
    assert state(bench) == replace(seen, is_paused=True)
    assert not fire(bench, seen)

    assert bench.run(schedules.resume(NAME, definition="a", due_at_us=7))
    assert not bench.run(schedules.resume(NAME, definition="a", due_at_us=8))
    assert state(bench) == replace(seen, due_at_us=7)
    assert not fire(bench, seen)
    assert fire(bench, state(bench))


def test_a_time_that_was_run_is_not_run_again_when_all_notes_are_lost(bench: Bench) -> None:
    seen = planned(bench)
    assert fire(bench, seen)
    bench.raw.delete("eyas:schedules")
    assert not fire(bench, seen)
    bench.raw.hset("eyas:schedules", mapping={"definition:f": "a", "due:f": seen.due_at_us or 0})

    assert fire(bench, seen)

    assert len(bench.queued_ids()) == 1
    assert state(bench).due_at_us == (seen.due_at_us or 0) + MINUTE_US
    assert bench.counts() == {"accepted": 1, "queued": 1}


def test_a_run_that_somebody_asks_for_changes_no_time(bench: Bench) -> None:
    seen = planned(bench)
    offer = Offer.of([(an_invocation("by hand", NAME), message("by hand"))], max_open=1)

    assert bench.run(schedules.run_now(offer, NAME)).outcome is Accepting.ACCEPTED

    after = state(bench)
    assert after.due_at_us == seen.due_at_us
    assert after.last_invocation_id == "by hand"
    other = Offer.of([(an_invocation("other", NAME), message("other"))], max_open=1)
    assert bench.run(schedules.run_now(other, NAME)).outcome is Accepting.FULL
    assert bench.run(schedules.run_now(offer, NAME)).outcome is Accepting.KNOWN
    assert state(bench) == after
    assert fire(bench, seen)
    assert len(bench.queued_ids()) == 2
    bench.assert_conserved()


def test_one_is_not_taken_for_another(bench: Bench) -> None:
    planned(bench)
    found = bench.run(schedules.read())

    assert found.state("ff") == found.state("") == State()
    assert (found.scale, found.now_us > 0) == (1.0, True)
