"""The harness itself: it has to see a loss when there is one."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import report
from tests.chaos.blame import Blame
from tests.chaos.faults import Fault, Kill, plan
from tests.chaos.ledger import Ledger
from tests.chaos.load import Sent
from tests.chaos.report import Outcome
from tests.chaos.verdict import Fate, judge


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


def write(ledger: Ledger, *lines: str) -> None:
    with ledger._path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)
    ledger.read()


def sent(name: str = "a", *, at: float = 1.0) -> Sent:
    return Sent(id=name, function="fast", number=1, trigger="http", sent_at=at, accepted_at=at)


def kill(fault: Fault, *, at: float, victims: frozenset[int] = frozenset()) -> Kill:
    return Kill(
        fault=fault,
        at=at,
        gone_at=at + 0.1,
        alone=True,
        pool=victims,
        victims=victims,
        seen_sent=0,
        seen_entries=0,
        recovered_at=at + 0.5,
    )


def succeeded(result: Any) -> dict[str, Any]:
    return {"status": "succeeded", "result": result}


def planned(kills: int, *, seed: int) -> list[tuple[Fault, ...]]:
    return list(plan(kills, list(Fault), random.Random(seed)))  # noqa: S311  repeatable, not secret


RIGHT = {"id": "a", "next": 2}
POISON = {"status": "failed", "error": {"type": "Poison"}}


@pytest.mark.parametrize(
    ("status", "record", "lines", "fate"),
    [
        (200, succeeded(RIGHT), ["started a 1 7 2.0", "ended a 1 7 2.1"], Fate.SUCCEEDED),
        (200, succeeded({"id": "b", "next": 2}), ["ended a 1 7 2.1"], Fate.WRONG),
        (200, {"status": "failed", "error": {"type": "ValueError"}}, [], Fate.WRONG),
        (200, {"status": "cancelled"}, [], Fate.WRONG),
        (200, succeeded(RIGHT), ["started a 1 7 2.0"], Fate.LOST),
        (200, succeeded(RIGHT), [], Fate.LOST),
        (200, {"status": "queued"}, [], Fate.LOST),
        (200, {"status": "running"}, ["started a 1 7 2.0"], Fate.LOST),
        (404, {"status": 404}, ["ended a 1 7 2.1"], Fate.LOST),
        (410, {"status": 410}, ["ended a 1 7 2.1"], Fate.LOST),
        (0, {}, ["ended a 1 7 2.1"], Fate.LOST),
        (200, POISON, ["started a 1 7 2.0", "started a 2 8 3.0"], Fate.GIVEN_UP),
        (200, POISON, [], Fate.LOST),
    ],
)
def test_an_invocation_is_judged_by_its_record_and_by_the_ledger(
    ledger: Ledger, status: int, record: dict[str, Any], lines: list[str], fate: Fate
) -> None:
    write(ledger, *lines)

    assert judge(sent(), status, record, ledger).fate is fate


def test_a_plan_is_made_of_its_seed_and_starts_with_one_of_each() -> None:
    first, again, other = (planned(100, seed=seed) for seed in (7, 7, 8))

    assert first == again != other
    assert sum(map(len, first)) == 100
    assert {fault for (fault,) in first[: len(Fault)]} == set(Fault)
    assert {len(episode) for episode in first} == {1, 2}
    assert sum(map(len, planned(2, seed=7))) == 2


def test_a_line_that_is_not_whole_yet_is_read_later(ledger: Ledger) -> None:
    ledger._path.write_text("started a 1 7 2.0\nended a 1")
    ledger.read()
    assert [entry.what for entry in ledger.entries] == ["started"]

    write(ledger, " 7 2.5")

    assert [(entry.what, entry.at) for entry in ledger.of("a")] == [
        ("started", 2.0),
        ("ended", 2.5),
    ]
    assert ledger.interrupted() == []


def test_a_loss_is_blamed_on_the_last_kill_before_successors_started(ledger: Ledger) -> None:
    kills = [kill(Fault.WEB, at=2), kill(Fault.WORKER, at=4), kill(Fault.STACK, at=6)]
    lost, behind = sent("lost", at=1), sent("behind", at=1.5)
    blame = Blame(kills=kills, accepted=[lost, behind], ledger=ledger)
    write(ledger, "started behind 1 7 5.0", "ended behind 1 7 5.0")

    assert blame.acceptance(lost) is kills[0]
    assert blame.loss(lost) is kills[1]


def test_a_rerun_is_measured_from_the_kill_that_hit_the_pool_process(ledger: Ledger) -> None:
    kills = [kill(Fault.WEB, at=3), kill(Fault.WORKER, at=4, victims=frozenset({7}))]
    write(ledger, "started a 1 7 2.0", "started a 2 8 6.5", "ended a 2 8 6.6")

    assert Blame(kills=kills, accepted=[sent()], ledger=ledger).reruns() == [(kills[1], 2.5)]


def test_a_loss_is_in_the_table_and_is_a_problem(ledger: Ledger) -> None:
    write(ledger, "started b 1 7 1.0", "ended b 1 7 1.1", "started b 2 8 3.0", "ended b 2 8 3.1")
    outcome = Outcome(
        seed=7,
        seconds=9,
        kills=[kill(Fault.WORKER, at=2)],
        judged=[
            judge(sent("a", at=0.5), 200, {"status": "queued"}, ledger),
            judge(sent("b", at=0.4), 200, succeeded({"id": "b", "next": 2}), ledger),
        ],
        ledger=ledger,
        unknown=Counter({"503": 3}),
        unexpected=Counter(),
        exits=Counter(),
    )

    assert outcome.problems() == ["1 accepted invocations were lost"]
    row = next(line for line in report.text(outcome).splitlines() if line.startswith("worker"))
    assert row.split() == ["worker", "1", "2", "1", "1", "0", "0.50", "-"]
