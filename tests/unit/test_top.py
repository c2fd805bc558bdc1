import math
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from runtime.cli.__main__ import eyas
from runtime.cli.activity import activities, between, quantile
from runtime.cli.readings import FunctionReading, Histogram, Reading, read
from runtime.cli.top_view import render

LIMITS = (0.005, 0.01, 0.1, math.inf)

METRICS = """\
# TYPE eyas_broker_up gauge
eyas_broker_up 1.0
eyas_workers 2.0
eyas_oldest_queued_age_seconds 3.25
eyas_messages{place="queue"} 12.0
eyas_messages{place="in_flight"} 4.0
eyas_invocations_accepted_total{function="fib"} 20.0
eyas_invocations_open{function="fib",status="queued"} 12.0
eyas_invocations_open{function="fib",status="running"} 3.0
eyas_invocations_open{function="fib",status="retrying"} 1.0
eyas_invocations_finished_total{function="fib",status="succeeded"} 1.0
eyas_invocations_finished_total{function="fib",status="failed"} 2.0
eyas_invocations_finished_total{function="fib",status="expired"} 1.0
eyas_dead_letters{function="fib"} 3.0
# TYPE eyas_queue_wait_seconds histogram
eyas_queue_wait_seconds_bucket{function="fib",le="0.1"} 4.0
eyas_queue_wait_seconds_bucket{function="fib",le="0.005"} 1.0
eyas_queue_wait_seconds_bucket{function="fib",le="+Inf"} 5.0
eyas_queue_wait_seconds_count{function="fib"} 5.0
eyas_queue_wait_seconds_sum{function="fib"} 1.5
"""


def histogram(*counts: float) -> Histogram:
    return Histogram(limits=LIMITS, counts=counts)


def reading(at: float, **functions: FunctionReading) -> Reading:
    return Reading(
        at=at,
        is_broker_up=True,
        workers=2,
        oldest_queued_seconds=3.25,
        messages={"queue": 12, "in_flight": 4, "landing": 1, "parked": 2, "delayed": 7},
        functions=functions,
    )


def shown(width: int = 120, height: int | None = None, **options: Any) -> list[str]:
    now = FunctionReading(
        accepted=30,
        finished=20,
        failed=5,
        queued=12345,
        running=3,
        retrying=1,
        dead=2,
        wait=histogram(0, 10, 20, 20),
        run=histogram(0, 0, 0, 20),
    )
    readings = [reading(0.0, fib=FunctionReading(), echo=FunctionReading())]
    readings.append(reading(5.0, fib=now, echo=FunctionReading()))
    return render(
        source="http://here",
        reading=readings[-1],
        activities=activities(readings),
        width=width,
        height=height,
        **options,
    )


def test_metrics_are_read_by_function() -> None:
    found = read(METRICS, functions=["fib", "idle"], at=7.0)

    assert (found.at, found.is_broker_up, found.workers) == (7.0, True, 2)
    assert found.messages == {"queue": 12, "in_flight": 4}
    assert found.oldest_queued_seconds == 3.25
    assert list(found.functions) == ["fib", "idle"]
    fib = found.functions["fib"]
    assert (fib.accepted, fib.finished, fib.failed, fib.dead) == (20, 4, 3, 3)
    assert (fib.queued, fib.running, fib.retrying) == (12, 3, 1)
    assert fib.wait == Histogram(limits=(0.005, 0.1, math.inf), counts=(1, 4, 5))
    assert found.functions["idle"] == FunctionReading()


def test_without_the_broker_names_are_known() -> None:
    found = read("eyas_broker_up 0.0\n", functions=["fib"], at=0.0)

    assert not found.is_broker_up
    assert list(found.functions) == ["fib"]


@pytest.mark.parametrize(
    ("fraction", "counts", "expected"),
    [
        (0.5, (10, 10, 10, 10), 0.0025),
        (0.5, (0, 10, 10, 10), 0.0075),
        (0.95, (0, 0, 100, 100), 0.0955),
        (0.5, (5, 5, 10, 10), 0.005),
        (0.95, (0, 0, 0, 1), math.inf),
        (0.5, (0, 0, 0, 0), None),
    ],
)
def test_quantiles_are_interpolated(
    fraction: float, counts: tuple[float, ...], expected: float | None
) -> None:
    found = quantile(fraction, histogram(*counts))

    assert found == (pytest.approx(expected) if expected is not None else None)


@given(
    times=st.lists(st.floats(min_value=0.0001, max_value=0.1), min_size=1),
    fraction=st.sampled_from([0.5, 0.95]),
)
def test_a_quantile_is_in_the_bucket_of_the_true_one(times: list[float], fraction: float) -> None:
    counts = tuple(float(sum(time <= limit for time in times)) for limit in LIMITS)
    true = sorted(times)[math.ceil(fraction * len(times)) - 1]

    found = quantile(fraction, histogram(*counts))

    assert found is not None
    lower, upper = (
        max((x for x in LIMITS if x < true), default=0.0),
        min(x for x in LIMITS if x >= true),
    )
    assert lower <= found <= upper or found == pytest.approx(upper)


def test_nothing_observed_has_no_quantile() -> None:
    assert quantile(0.5, Histogram()) is None


def test_what_was_observed_between_is_a_difference_unless_it_began_anew() -> None:
    assert between(histogram(1, 2, 3, 4), histogram(1, 4, 6, 8)) == histogram(0, 2, 3, 4)
    assert between(histogram(1, 2, 3, 4), histogram(0, 1, 1, 1)) == histogram(0, 1, 1, 1)
    assert between(Histogram(), histogram(1, 1, 1, 1)) == histogram(1, 1, 1, 1)


def test_rates_are_of_seconds_and_times_of_a_minute() -> None:
    readings = [
        reading(float(at), fib=FunctionReading(accepted=at, run=histogram(at, at, at, at)))
        for at in range(61)
    ]
    readings.append(reading(61.0, fib=FunctionReading(accepted=80, run=histogram(60, 60, 80, 80))))

    (fib,) = activities(readings)

    assert fib.accepted_rate == pytest.approx((80 - 56) / 5)
    # 59 short ones since the first second of the minute, 20 longer ones in the last.
    assert fib.run.p50 == pytest.approx(0.005 * 39.5 / 59)
    assert 0.01 < (fib.run.p95 or 0) < 0.1
    (whole,) = activities(readings[-1:], times_since_start=True)
    assert whole.accepted_rate == 0
    assert whole.run.p50 == pytest.approx(0.005 * 40 / 60)


def test_a_reset_is_no_negative_rate() -> None:
    before, after = FunctionReading(accepted=100), FunctionReading(accepted=10)

    (fib,) = activities([reading(0.0, fib=before), reading(5.0, fib=after)])

    assert fib.accepted_rate == 2


def test_a_row_has_all_of_a_function() -> None:
    lines = shown()

    assert lines[0] == "eyas top  http://here"
    assert lines[1] == (
        "queue 12 (oldest 3.2 s)  claimed 5  parked 2  delayed 7  workers 2  broker up"
    )
    headings, *rows = [" ".join(line.split()) for line in lines[2:]]
    assert headings == (
        "function acc/s fin/s fail/s queued running retrying dead wait p50 wait p95 run p50 run p95"
    )
    assert rows == [
        "echo 0 0 0 0 0 0 0 - - - -",
        "fib 6.0 4.0 1.0 12k 3 1 2 10 ms 91 ms > 100 ms > 100 ms",
    ]


@pytest.mark.parametrize("width", [1, 20, 40, 60, 79, 80, 100, 200])
def test_lines_fit_and_the_most_important_columns_stay(width: int) -> None:
    lines = shown(width)

    assert max(map(len, lines)) <= width
    assert ("queued" in lines[2]) == (width >= 20)
    assert ("wait p50" in lines[2]) == (width > 100)


def test_what_does_not_fit_is_counted_and_the_busiest_stay() -> None:
    lines = shown(height=4)
    assert lines[3] == "... and 2 more"
    assert [line.split()[0] for line in shown(height=5)[3:]] == ["echo", "fib"]

    names = {f"idle_{number}": FunctionReading() for number in range(30)}
    readings = [reading(0.0, **names, busy=FunctionReading(running=1))]
    lines = render(
        source="", reading=readings[0], activities=activities(readings), width=80, height=5
    )
    assert lines[3].startswith("busy ")
    assert lines[4] == "... and 30 more"


def test_why_there_is_nothing_newer_is_said() -> None:
    assert shown(complaint="no stack answers")[1] == "no stack answers"
    away = Reading(at=0.0, is_broker_up=False)
    lines = render(source="", reading=away, activities=(), width=80)
    assert lines[1].startswith("broker away")


def test_hostile_names_are_escaped() -> None:
    readings = [reading(0.0, **{"\x1b[2J\n": FunctionReading()})]

    lines = render(source="", reading=readings[0], activities=activities(readings), width=80)

    assert lines[3].startswith("\\x1b[2J\\n ")


def test_without_a_stack_it_is_one_line() -> None:
    result = CliRunner().invoke(eyas, ["top", "--once", "--url", "http://127.0.0.1:9"])

    assert result.exit_code == 1
    assert "no stack answers at http://127.0.0.1:9" in result.output
