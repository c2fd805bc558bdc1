"""Judging a run, and writing it down."""

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from loadtests.options import Thresholds, parse
from loadtests.report import FOOTER, Measured, broken, notes, progress, summary, text
from loadtests.stack import Counts
from loadtests.tally import Histogram, Tally

NONE = Counts(
    accepted=0, queued=0, running=0, retrying=0, succeeded=0, failed=0, cancelled=0, expired=0
)
DONE = replace(NONE, accepted=1000, succeeded=1000)
OPTIONS = parse(["--seconds", "9", "--warm-up", "1"], {})


def latencies(**changes: Any) -> Tally:
    latency = Histogram(Counter({10_000: 900, 40_000: 100}), 41_500)
    good: dict[str, Any] = {"sent": 1000, "accepted": 1000, "measured": 900, "latency": latency}
    return Tally(**good | changes)


def measured(**changes: Any) -> Measured:
    good: dict[str, Any] = {
        "options": OPTIONS,
        "tally": latencies(),
        "measured_seconds": 9.0,
        "loading_seconds": 10.0,
        "drain_seconds": 5.0,
        "scheduled": None,
        "before": NONE,
        "loaded": replace(NONE, accepted=1000, queued=400, succeeded=600),
        "after": DONE,
        "checked": 10,
    }
    return Measured(**good | changes)


def judged(run: Measured, **limits: Any) -> list[str]:
    thresholds: dict[str, Any] = {
        "min_accepted_per_second": None,
        "max_p99_ms": None,
        "max_failures": 0,
        "drain_seconds": 120.0,
    }
    options = replace(run.options, thresholds=Thresholds(**thresholds | limits))
    return broken(replace(run, options=options))


def test_a_good_run_breaks_nothing() -> None:
    assert judged(measured()) == []
    assert judged(measured(), min_accepted_per_second=100, max_p99_ms=40) == []


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        (
            {"min_accepted_per_second": 100.1},
            "min-accepted-per-second: wanted 100.1 or more, found 100.0",
        ),
        ({"max_p99_ms": 39.9}, "max-p99-ms: wanted 39.9 or less, found 40 ms"),
    ],
)
def test_a_broken_limit_says_what_was_wanted_and_found(
    limits: dict[str, Any], problem: str
) -> None:
    assert judged(measured(), **limits) == [problem]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"tally": latencies(failures=Counter({"status 503": 2, "status 429": 1}))},
            "max-failures: wanted 0 or less, found 3 (2 x status 503, 1 x status 429)",
        ),
        (
            {"wrong": Counter({"result: wrong numbers": 1})},
            "max-failures: wanted 0 or less, found 1 (1 x result: wrong numbers)",
        ),
        (
            {"after": replace(DONE, succeeded=998, failed=1, cancelled=1)},
            "max-failures: wanted 0 or less, found 2 "  # noqa: ISC004  one sentence
            "(1 x invocation failed, 1 x invocation cancelled)",
        ),
        (
            {"exceptions": {"oops": 1}},
            "max-failures: wanted 0 or less, found 1 (1 x in the generator: oops)",
        ),
        (
            {"after": replace(DONE, succeeded=990, queued=7, running=2, retrying=1)},
            "drain-seconds: wanted everything finished in 120 s, found 10 still to finish",
        ),
        (
            {"after": replace(DONE, succeeded=999)},
            "accepted == finished: 1,000 were to be finished, 999 are accounted for",
        ),
        (
            {"after": replace(DONE, succeeded=1001)},
            "accepted == finished: 1,000 were to be finished, 1,001 are accounted for",
        ),
        (
            {"after": replace(DONE, accepted=999, succeeded=999)},
            "accepted == finished: 1,000 were answered with 202, and the stack counts 999",
        ),
        (
            {"after": None},
            "accepted == finished: not known, the stack stopped giving its counts",
        ),
        (
            {"tally": Tally(), "before": DONE},
            "nothing was accepted",
        ),
        (
            {"is_interrupted": True, "measured_seconds": 2.51},
            "interrupted: measured 2.5 s of 9 s",
        ),
    ],
)
def test_each_broken_threshold_has_its_line(changes: dict[str, Any], problem: str) -> None:
    assert judged(measured(**changes)) == [problem]


def test_so_many_failures_may_be_allowed() -> None:
    run = measured(tally=latencies(failures=Counter({"status 429": 3})))

    assert judged(run, max_failures=3) == []
    assert len(judged(run, max_failures=2)) == 1


def test_several_thresholds_break_at_once() -> None:
    run = measured(tally=Tally(sent=5, failures=Counter({"status 500": 5})), after=NONE)

    problems = judged(run, min_accepted_per_second=1, max_p99_ms=1)

    assert [problem.split(":")[0] for problem in problems] == [
        "nothing was accepted",
        "min-accepted-per-second",
        "max-p99-ms",
        "max-failures",
    ]
    assert problems[2].endswith("found none")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        (
            {"after": replace(DONE, accepted=1020, succeeded=1020)},
            "the stack accepted 20 more than this run sent: somebody else",
        ),
        (
            {
                "before": replace(NONE, accepted=50, queued=50),
                "after": replace(DONE, accepted=1050, succeeded=1050),
            },
            "50 were waiting before the run",
        ),
        (
            {
                "scheduled": 1000,
                "tally": latencies(lateness=Histogram(Counter({80_000: 9}), 80_000)),
            },
            "1 in 100 requests started 80 ms or more behind schedule",
        ),
        ({"scheduled": 1001}, "1 scheduled requests were never sent"),
        ({"tally": latencies(cpu_seconds=9.5)}, "the generator used all of its core"),
    ],
)
def test_notes_say_what_to_know_and_break_nothing(
    changes: dict[str, Any], said: str | None
) -> None:
    run = measured(**changes)

    assert judged(run) == []
    found = notes(run)
    assert (len(found) == 1 and found[0].startswith(said)) if said else not found


def test_requests_without_an_answer_are_not_taken_for_somebody_elses() -> None:
    tally = latencies(unknown=3, failures=Counter({"no answer: TimeoutError": 3}))

    assert measured(tally=tally, after=replace(DONE, accepted=1003, succeeded=1003)).foreign == 0
    assert measured(tally=tally, after=replace(DONE, accepted=1004, succeeded=1004)).foreign == 1


def test_a_batch_without_an_answer_may_have_been_accepted_whole() -> None:
    options = parse(["--batch", "100"], {})
    tally = latencies(sent=13, unknown=300, failures=Counter({"no answer: TimeoutError": 3}))
    after = replace(DONE, accepted=1300, succeeded=1300)

    run = measured(options=options, tally=tally, after=after)

    assert run.foreign == 0
    assert notes(run) == []
    numbers = summary(run)
    assert numbers["accepted_unknown"] == 300
    assert (numbers["generator"]["sent"], numbers["generator"]["unanswered"]) == (13, 3)


def test_the_summary_has_all_numbers() -> None:
    numbers = json.loads(json.dumps(summary(measured())))

    assert numbers["passed"] is True
    assert numbers["broken_thresholds"] == []
    assert numbers["accepted"] == 1000
    assert numbers["accepted_per_second"] == 100
    assert numbers["latency_ms"] == {"p50": 10, "p95": 40, "p99": 40, "p99.9": 40, "max": 41.5}
    assert numbers["drain"] == {
        "seconds": 5,
        "accepted": 1000,
        "finished": 1000,
        "outstanding": 0,
        "finished_while_loading": 600,
        "finished_per_second_while_loading": 60,
        "finished_after_loading": 400,
        "finished_per_second_after_loading": 80,
    }
    assert numbers["workload"]["mode"] == "closed"
    assert numbers["generator"]["late_ms"] is None


def test_the_text_ends_with_the_verdict() -> None:
    good, bad = text(measured()), text(measured(after=None))

    assert good.endswith("all thresholds hold")
    assert FOOTER in good
    assert "accepted 1,000 == finished 1,000" in good
    assert bad.splitlines()[-1].startswith("BROKEN: accepted == finished")


def test_the_text_of_an_arrival_run_shows_the_generators_lateness() -> None:
    options = parse(["--mode", "arrival", "--rate", "100"], {})
    tally = latencies(lateness=Histogram(Counter({2_000: 1000}), 2_500))

    shown = text(measured(options=options, scheduled=1000, tally=tally))

    assert shown.startswith("constant arrival rate, 100 requests/s: fib(10) at ")
    assert "1,000 sent of 1,000 requests" in shown
    assert "lateness  p50 2 ms" in shown
    assert "of a request, from when it was scheduled" in shown


def test_the_text_of_batches_says_what_is_counted() -> None:
    options = parse(["--batch", "100"], {})

    shown = text(measured(options=options, tally=latencies(sent=10)))

    assert shown.startswith("closed loop, 16 users, batches of 100: fib(10) at ")
    assert "100.0 invocations/s   900 measured" in shown
    assert "of a request, from when it was sent" in shown


def test_a_run_without_any_number_can_still_be_written_down() -> None:
    run = measured(
        tally=Tally(), loaded=None, after=None, measured_seconds=0.0, loading_seconds=0.0
    )

    assert "p50 none" in text(run)
    assert "not known" in text(run)
    json.dumps(summary(run))


def test_progress_is_about_the_time_since_the_last_line() -> None:
    earlier = Tally(accepted=100, measured=100, latency=Histogram(Counter({90_000: 100}), 90_000))
    latest = Tally(
        accepted=350,
        measured=350,
        latency=Histogram(Counter({90_000: 100, 8_000: 250}), 90_000),
        failures=Counter({"status 500": 2}),
    )

    line = progress(seconds=4, run_seconds=17, latest=latest, since=earlier, took=0.5)

    words = " ".join(line.split())
    assert words == "4 of 17 s measured accepted 500 /s p50 8 ms p99 8 ms failures 2"
