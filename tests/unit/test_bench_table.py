from collections.abc import Callable

import pytest

from loadtests.bench import report, table
from loadtests.bench.outcome import Outcome, best_of, compared
from loadtests.bench.plan import LoadError
from loadtests.bench.processes import BrokenError
from loadtests.bench.rounds import Side, interleave
from loadtests.bench.rows import BY_KEY, ROWS, Finding
from loadtests.bench.spread import Spread
from loadtests.bench.stolen import Times

FAST = Side(name="fast", unit="/s", values=[400.0, 440.0, 500.0])
SLOW = Side(name="slow", unit="/s", values=[100.0, 110.0, 100.0])
BROKEN = Side(name="broken", unit="/s", values=[900.0], broken="wrong results\nmore")


def test_keys_of_rows_differ() -> None:
    assert len(BY_KEY) == len(ROWS)


@pytest.mark.parametrize(
    ("key", "value", "is_met", "is_kept"),
    [
        ("accept_bare", 0.6, True, True),
        ("accept_bare", 0.4, False, True),
        ("accept_bare", 0.1, False, False),
        ("drain_celery", 9.0, False, False),
        ("drain_celery", 11.0, True, True),
        ("soak", 1.0, None, True),
    ],
)
def test_what_is_not_as_wanted_has_not_become_worse_above_its_floor(
    key: str, value: float, is_met: bool | None, is_kept: bool
) -> None:
    finding = Finding(key=key, spread=Spread.of([value]))

    assert (finding.is_met, finding.is_kept) == (is_met, is_kept)
    assert not Finding(key="accept_bare").is_kept


def test_a_row_says_what_was_measured_and_whether_it_is_met() -> None:
    met = compared("accept_best", FAST, SLOW)
    missed = Finding(key="wait_p99", spread=Spread.of([6.0]))
    lines = table.rows([met, missed], only_found=True).splitlines()

    assert met.is_met
    assert lines[2].endswith("| 4.00 (4.00 to 5.00), ÷ slow | at least 4.00 | yes |")
    assert lines[3] == "| the same, p99 ÷ p50 | 6.00 | at most 5.00 | **no** |"


def test_a_row_without_a_finding_is_not_measured() -> None:
    awaited = [row for row in ROWS if not row.is_extra]

    assert table.rows([]).count("| not measured |") == len(awaited) < len(ROWS)


def test_a_broken_side_fails_its_row_and_is_never_the_best() -> None:
    finding = compared("accept_best", FAST, BROKEN)

    assert finding.is_met is False
    assert finding.note == "broken is broken: wrong results"
    assert best_of([BROKEN, SLOW]) is SLOW
    assert "| broken | broken: wrong results | |" in table.figures({"x": Outcome(sides=[BROKEN])})


def test_an_outcome_survives_its_file() -> None:
    outcome = Outcome(sides=[FAST, BROKEN], curves={"c": [[1, 2.0]]}, notes=["n"], broken="b")
    outcome.compare("drain_best", FAST, SLOW)
    outcome.missing("batch", "no route")

    assert Outcome.from_json(outcome.to_json()) == outcome


def test_rounds_are_interleaved_and_a_broken_side_is_left_out_of_the_rest() -> None:
    order: list[str] = []

    def good() -> float:
        order.append("good")
        return 1.0

    def bad() -> float:
        order.append("bad")
        raise BrokenError("no")

    sides = interleave({"good": good, "bad": bad}, rounds=3, unit="/s", say=lambda _: None)

    assert order == ["good", "bad", "good", "good"]
    assert sides["good"].values == [1.0, 1.0, 1.0]
    assert sides["bad"].broken == "no"


def disturbed(*shares: float) -> Callable[[], Times]:
    """Return a clock by which each measurement has this share of its time stolen."""
    read = Times(wanted=0, stolen=0)
    times = [read]
    for share in shares:
        read = Times(wanted=read.wanted + 1000, stolen=read.stolen + round(share * 1000))
        times += [read, read]
    return iter(times).__next__


def test_what_was_disturbed_is_measured_again_and_the_least_disturbed_counts() -> None:
    values = iter([1.0, 2.0, 3.0, 4.0, 5.0])
    side = interleave(
        {"one": values.__next__},
        rounds=2,
        unit="/s",
        say=lambda _: None,
        now=disturbed(0.3, 0.2, 0.4, 0.09, 0.08),
    )["one"]

    assert side.values == [2.0, 5.0]
    assert side.stolen == pytest.approx([0.2, 0.08])
    said = table.figures({"x": Outcome(sides=[side])}).splitlines()[-1]
    assert "gave 14% of the processors' time to others (8% to 20%)" in said


def test_a_side_that_breaks_while_it_is_disturbed_may_try_again() -> None:
    left = [BrokenError("slow"), None, LoadError("wrong"), BrokenError("slow")]

    def measure() -> float:
        if (error := left.pop(0)) is not None:
            raise error
        return 1.0

    def run(rounds: int, *shares: float) -> Side:
        now, said = disturbed(*shares), list[str]()
        return interleave({"one": measure}, rounds=rounds, unit="", say=said.append, now=now)["one"]

    once = run(1, 0.5, 0.01)
    assert (once.values, once.broken) == ([1.0], None)
    broken = run(1, 0.01)
    assert (broken.values, broken.broken) == ([], "wrong")


def test_stolen_time_is_read_as_the_kernel_writes_it() -> None:
    before = Times.of("cpu  100 0 50 900 7 0 3 40 20 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
    after = Times.of("cpu  160 0 60 999 9 0 3 70 20 0\n")

    assert before == Times(wanted=193, stolen=40)
    assert before.share_until(after) == 0.3
    assert before.share_until(before) == 0.0


def test_the_generated_part_of_a_page_is_replaced() -> None:
    page = "a\n<!-- generated: begin -->\nold\n<!-- generated: end -->\nb\n"

    once = report.between_markers(page, "new")

    assert once == "a\n<!-- generated: begin -->\n\nnew\n\n<!-- generated: end -->\nb\n"
    assert report.between_markers(once, "new") == once
