from loadtests.bench import report, table
from loadtests.bench.outcome import Outcome, best_of, compared
from loadtests.bench.processes import BrokenError
from loadtests.bench.rounds import Side, interleave
from loadtests.bench.rows import BY_KEY, ROWS, Finding
from loadtests.bench.spread import Spread

FAST = Side(name="fast", unit="/s", values=[400.0, 440.0, 500.0])
SLOW = Side(name="slow", unit="/s", values=[100.0, 110.0, 100.0])
BROKEN = Side(name="broken", unit="/s", values=[900.0], broken="wrong results\nmore")


def test_keys_of_rows_differ() -> None:
    assert len(BY_KEY) == len(ROWS)


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


def test_the_generated_part_of_a_page_is_replaced() -> None:
    page = "a\n<!-- generated: begin -->\nold\n<!-- generated: end -->\nb\n"

    once = report.between_markers(page, "new")

    assert once == "a\n<!-- generated: begin -->\n\nnew\n\n<!-- generated: end -->\nb\n"
    assert report.between_markers(once, "new") == once
