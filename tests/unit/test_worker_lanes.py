"""What waits in a worker, in which line, and what leaves it again."""

import pytest

from runtime.function import Function, function
from runtime.settings import Settings
from runtime.store.claims import Claim, Ticket
from runtime.worker.lanes import Lanes


@function
def plain() -> None:
    """Run alone."""


@function(threads=2)
def threaded() -> None:
    """Run in a thread."""


@function
async def awaited() -> None:
    """Run in an event loop."""


FUNCTIONS: dict[str, Function[..., object]] = {one.name: one for one in (plain, threaded, awaited)}


@pytest.fixture
def lanes() -> Lanes:
    return Lanes(functions=FUNCTIONS, settings=Settings.from_environment({"EYAS_WORKERS": "2"}))


def ticket(number: int, name: str = "plain", *, crashes: int = 0) -> Ticket:
    return Ticket(
        held=Claim(worker="w", tag=f"{number}:1:celery"),
        id=f"{name}-{number}",
        function=name,
        claimed_at_us=0,
        fresh=not crashes,
        crashes=crashes,
    )


def ids(tickets: list[Ticket]) -> list[str]:
    return [one.id for one in tickets]


def test_each_kind_of_function_has_its_lane_and_what_crashed_runs_alone(lanes: Lanes) -> None:
    for name in ("plain", "threaded", "awaited"):
        lanes.add(ticket(1, name))
        lanes.add(ticket(2, name, crashes=2))

    assert [ids(list(lane.waiting)) for lane in lanes.all] == [
        ["plain-1", "plain-2", "threaded-2", "awaited-2"],
        ["awaited-1"],
        ["threaded-1"],
    ]


def test_all_leave_in_the_order_in_which_they_were_claimed(lanes: Lanes) -> None:
    for number, name in enumerate(["awaited", "plain", "threaded", "plain"]):
        lanes.add(ticket(number, name))

    assert ids(lanes.pop_all()) == ["awaited-0", "plain-1", "threaded-2", "plain-3"]
    assert lanes.waiting == []


def test_one_that_waits_can_be_taken_out_once(lanes: Lanes) -> None:
    for number in range(3):
        lanes.add(ticket(number, "threaded"))

    assert lanes.pop("threaded-1") == ticket(1, "threaded")
    assert lanes.pop("threaded-1") is None
    assert ids(lanes.waiting) == ["threaded-0", "threaded-2"]


def test_what_is_in_other_hands_is_forgotten(lanes: Lanes) -> None:
    for number, name in enumerate(["plain", "plain", "awaited"]):
        lanes.add(ticket(number, name))

    lanes.drop_lost({"1:1:celery"})

    assert ids(lanes.waiting) == ["plain-1"]


def test_behind_what_is_slow_only_as_many_wait_as_there_are_executors(lanes: Lanes) -> None:
    lanes.pace.note("plain", 10.0)
    for number in range(5):
        lanes.add(ticket(number))

    assert ids(lanes.pop_late(lanes.serial.waiting_since)) == ["plain-2", "plain-3", "plain-4"]
    assert ids(lanes.waiting) == ["plain-0", "plain-1"]


def test_what_is_quick_waits_for_half_a_second_before_others_have_it(lanes: Lanes) -> None:
    lanes.pace.note("plain", 0.001)
    for number in range(5):
        lanes.add(ticket(number))
    since = lanes.serial.waiting_since

    assert lanes.pop_late(since + 0.4) == []
    assert ids(lanes.pop_late(since + 0.6)) == ["plain-2", "plain-3", "plain-4"]


def test_what_is_for_a_function_that_does_not_exist_waits_aside(lanes: Lanes) -> None:
    for number, name in enumerate(("nobody", "plain", "nobody", "later")):
        lanes.add(ticket(number, name))
    lanes.add_first(ticket(9, "nobody"))

    assert ids(list(lanes.serial.waiting)) == ["plain-1"]
    assert sorted(ids(lanes.waiting)) == ["later-3", "nobody-0", "nobody-2", "nobody-9", "plain-1"]
    found = lanes.pop("nobody-2")
    assert found is not None
    assert ids(lanes.pop_unknown()) == ["nobody-9", "nobody-0", "later-3"]
    assert lanes.pop_unknown() == []


def test_what_waits_stands_in_another_line_when_its_function_has_changed() -> None:
    functions: dict[str, Function[..., object]] = {"f": plain}
    lanes = Lanes(functions=functions, settings=Settings.from_environment({"EYAS_WORKERS": "2"}))
    lanes.add(ticket(2, "f"))
    lanes.add(ticket(1, "f"))
    functions["f"] = awaited
    for one in lanes.pop_all():
        lanes.add(one)

    assert ids(list(lanes.coroutines.waiting)) == ["f-1", "f-2"]
    assert not lanes.serial.waiting


def test_a_retired_executor_is_watched_until_it_has_ended_and_given_nothing(lanes: Lanes) -> None:
    old, new = object(), object()
    lanes.threads.executors.append(old)  # type: ignore[arg-type]

    assert lanes.retire() == [old]
    lanes.threads.executors.append(new)  # type: ignore[arg-type]
    assert lanes.threads.executors == [new]
    assert lanes.executors == [new, old]
    lanes.remove(old)  # type: ignore[arg-type]
    assert lanes.executors == [new]
    lanes.remove(new)  # type: ignore[arg-type]
    assert lanes.executors == []
