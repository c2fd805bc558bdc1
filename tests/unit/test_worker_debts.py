"""What a worker owes the broker is paid in order, once each, however long the broker is away."""

import time
from typing import Any

import pytest

from runtime.errors import BrokerUnavailableError
from runtime.store.step import Step
from runtime.worker.debts import Debts

NOBODY = "redis://127.0.0.1:9/0"


class FakeStore:
    """Carries steps out by noting them, while it is there."""

    def __init__(self) -> None:
        self.is_there = True
        self.done: list[Any] = []
        self.asked = 0

    def run(self, step: Step[Any]) -> Any:
        self.asked += 1
        if not self.is_there:
            raise BrokerUnavailableError("away")
        self.done.append(step.arguments[0])
        return step.parse(step.arguments[0])


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def debts(store: FakeStore) -> Debts:
    return Debts(store=store, url=NOBODY)  # type: ignore[arg-type]


def step(name: str) -> Step[str]:
    return Step(arguments=(name,), parse=str.upper)


def pay_all(debts: Debts) -> None:
    deadline = time.monotonic() + 5
    while len(debts):
        assert time.monotonic() < deadline
        debts.pay()


def test_what_is_owed_is_paid_at_once(debts: Debts, store: FakeStore) -> None:
    heard: list[str] = []

    debts.owe(step("a"), heard.append)
    debts.owe(step("b"))

    assert (store.done, heard, len(debts)) == (["a", "b"], ["A"], 0)
    assert not debts.are_overdue


def test_it_is_paid_in_order_and_once_each_when_the_broker_is_back(
    debts: Debts, store: FakeStore
) -> None:
    heard: list[str] = []
    store.is_there = False
    for name in "abc":
        debts.owe(step(name), heard.append)
    assert (debts.are_overdue, len(debts), heard) == (True, 3, [])

    store.is_there = True
    pay_all(debts)

    assert (store.done, heard) == (["a", "b", "c"], ["A", "B", "C"])
    assert not debts.are_overdue


def test_a_broker_that_is_away_is_asked_now_and_then_only(debts: Debts, store: FakeStore) -> None:
    store.is_there = False
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        debts.owe(step("a"))

    assert store.asked <= 3


def test_whoever_hears_of_one_may_owe_another(debts: Debts, store: FakeStore) -> None:
    debts.owe(step("a"), lambda _: debts.owe(step("c")))
    debts.owe(step("b"))

    assert store.done == ["a", "c", "b"]


def test_with_an_ear_nobody_waits_and_what_was_under_way_is_paid_without_one(
    debts: Debts, store: FakeStore
) -> None:
    class Ear:
        def hear(self, fileno: int, call: Any) -> None: ...

        def forget(self, fileno: int) -> None: ...

    debts.pay_through(Ear())
    debts.owe(step("a"))
    assert store.asked == 0, "nobody is at the other end of its own connection"
    assert debts.are_overdue

    debts.pay_through(None)
    pay_all(debts)

    assert store.done == ["a"]
