"""When schedules are due: cron expressions, time zones, intervals."""

import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import DefinitionError
from runtime.schedule import (
    Cron,
    Interval,
    Missed,
    Schedule,
    id_of_run,
    scheduled_at,
    time_of,
    us_of,
)


def made(
    schedule: Any = None, *, every: Any = None, timezone: Any = None, missed: Any = "latest"
) -> Schedule:
    found = Schedule.of(
        schedule=schedule, every=every, timezone=timezone, missed=missed, payload=b"{}"
    )
    assert found is not None
    return found


def cron(expression: str, timezone: str = "UTC") -> Cron:
    times = made(expression, timezone=timezone).times
    assert isinstance(times, Cron)
    return times


def at(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def following(times: Cron | Interval, after: str, count: int) -> list[datetime]:
    found = [at(after)]
    for _ in range(count):
        found.append(times.next_after(found[-1]))
    return found[1:]


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("* * * * *", "2026-01-31T23:59:59.999999", "2026-02-01T00:00"),
        ("* * * * *", "2026-01-31T23:59", "2026-02-01T00:00"),
        ("*/5 * * * *", "2026-11-23T05:17:33", "2026-11-23T05:20"),
        ("*/5 * * * *", "2026-11-23T05:20", "2026-11-23T05:25"),
        ("3-59/15 * * * *", "2026-11-23T05:17", "2026-11-23T05:18"),
        ("7/20 * * * *", "2026-11-23T05:28", "2026-11-23T05:47"),
        ("0 9-17/4,20 * * *", "2026-11-23T17:00", "2026-11-23T20:00"),
        ("0 0 31 * *", "2026-01-31T00:00", "2026-03-31T00:00"),
        ("0 0 30 * *", "2026-01-30T12:00", "2026-03-30T00:00"),
        ("0 0 29 2 *", "2026-11-23T00:00", "2028-02-29T00:00"),
        ("0 0 29 2 *", "2096-03-01T00:00", "2104-02-29T00:00"),
        ("0 12 L * *", "2028-02-01T00:00", "2028-02-29T12:00"),
        ("0 12 LW * *", "2026-05-01T00:00", "2026-05-29T12:00"),
        ("0 0 1 jan *", "2026-11-23T00:00", "2027-01-01T00:00"),
        ("0 0 * * MON-FRI", "2026-11-20T00:00", "2026-11-23T00:00"),
        ("0 0 * * sun", "2026-11-23T00:00", "2026-11-29T00:00"),
        ("0 0 * * 0", "2026-11-23T00:00", "2026-11-29T00:00"),
        ("0 0 * * 7", "2026-11-23T00:00", "2026-11-29T00:00"),
        ("0 0 * * TUE#2", "2026-11-23T00:00", "2026-12-08T00:00"),
        ("0 0 * * 5L", "2026-11-23T00:00", "2026-11-27T00:00"),
        # Both days given: either will do. One of them begins with a star: both count.
        ("0 0 13 * FRI", "2026-11-23T00:00", "2026-11-27T00:00"),
        ("0 0 */2 * FRI", "2026-11-23T00:00", "2026-11-27T00:00"),
        ("0 0 */2 * FRI", "2026-11-27T00:00", "2026-12-11T00:00"),
        ("@yearly", "2026-11-23T00:00", "2027-01-01T00:00"),
        ("@annually", "2026-11-23T00:00", "2027-01-01T00:00"),
        ("@monthly", "2026-11-23T00:00", "2026-12-01T00:00"),
        ("@weekly", "2026-11-23T00:00", "2026-11-29T00:00"),
        ("@daily", "2026-11-23T05:00", "2026-11-24T00:00"),
        ("@midnight", "2026-11-23T05:00", "2026-11-24T00:00"),
        ("@Hourly", "2026-11-23T05:00", "2026-11-23T06:00"),
        ("  0\t*   * * *  ", "2026-11-23T05:00", "2026-11-23T06:00"),
    ],
)
def test_the_next_time_of_an_expression(expression: str, after: str, expected: str) -> None:
    assert cron(expression).next_after(at(after)) == at(expected)


def test_times_are_those_of_the_zone() -> None:
    berlin, tokyo = cron("30 7 * * *", "Europe/Berlin"), cron("30 7 * * *", "Asia/Tokyo")

    assert berlin.next_after(at("2026-11-23T12:00")) == at("2026-11-24T06:30")
    assert berlin.next_after(at("2026-07-23T12:00")) == at("2026-07-24T05:30")
    assert tokyo.next_after(at("2026-11-23T12:00")) == at("2026-11-23T22:30")
    assert berlin.next_after(at("2026-11-23T12:00")).tzinfo is UTC


# Berlin: from 02:00 to 03:00 on 2026-03-29, which is 01:00 UTC; back at 01:00 UTC on 2026-10-25.
# Cairo skips from 00:00 to 01:00 on 2025-04-25; Havana has 00:00 to 01:00 twice on 2024-11-03.
@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        # What is left out runs once, when the clock has been set forward; then as ever.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-28T00:00",
            ["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"],
        ),
        (
            "0,30 2 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00",
            ["2026-03-29T01:00", "2026-03-30T00:00", "2026-03-30T00:30"],
        ),
        (
            "0 3 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00",
            ["2026-03-29T01:00", "2026-03-30T01:00"],
        ),
        (
            "0 0 * * *",
            "Africa/Cairo",
            "2025-04-23T12:00",
            ["2025-04-23T22:00", "2025-04-24T22:00", "2025-04-25T21:00"],
        ),
        # What comes twice runs the first time.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-24T12:00",
            ["2026-10-25T00:30", "2026-10-26T01:30"],
        ),
        (
            "0,30 2,3 * * *",
            "Europe/Berlin",
            "2026-10-24T12:00",
            ["2026-10-25T00:00", "2026-10-25T00:30", "2026-10-25T02:00", "2026-10-25T02:30"],
        ),
        (
            "0 0 * * *",
            "America/Havana",
            "2024-11-02T12:00",
            ["2024-11-03T04:00", "2024-11-04T05:00"],
        ),
        # Somebody who looks in the repeated hour sees no time of the first one.
        ("45 2 * * *", "Europe/Berlin", "2026-10-25T01:15", ["2026-10-26T01:45"]),
        # With a star, each real hour counts.
        (
            "30 * * * *",
            "Europe/Berlin",
            "2026-03-29T00:00",
            ["2026-03-29T00:30", "2026-03-29T01:30"],
        ),
        (
            "30 * * * *",
            "Europe/Berlin",
            "2026-10-24T23:59",
            ["2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T02:30"],
        ),
        (
            "*/30 2 * * *",
            "Europe/Berlin",
            "2026-10-24T23:59",
            ["2026-10-25T00:00", "2026-10-25T00:30", "2026-10-25T01:00", "2026-10-25T01:30"],
        ),
        # Half an hour forward (Lord Howe, 02:00 to 02:30 on 2026-10-04).
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T12:00",
            ["2026-10-03T15:30", "2026-10-04T15:15"],
        ),
    ],
)
def test_where_clocks_are_changed(
    expression: str, zone: str, after: str, expected: list[str]
) -> None:
    assert following(cron(expression, zone), after, len(expected)) == list(map(at, expected))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "UTC"])
def test_a_year_has_each_of_its_times_once(zone: str) -> None:
    hourly = cron("@hourly", zone)
    daily = cron("30 2 * * *", zone)
    new_year = at("2025-01-01T00:00")

    hours = list(itertools.takewhile(lambda t: t.year == 2025, _all(hourly, new_year)))
    days = list(itertools.takewhile(lambda t: t.year == 2025, _all(daily, new_year)))

    assert len(hours) in {8758, 8759, 8760}  # Lord Howe's clock is changed by half an hour
    assert len(days) == 365
    assert len({t.astimezone(daily.zone).date() for t in days}) == 365


def _all(times: Cron, after: datetime) -> Any:
    while True:
        after = times.next_after(after)
        yield after


EXPRESSIONS = st.builds(
    " ".join,
    st.tuples(
        st.sampled_from(["*", "*/7", "0", "30", "15,45", "50-59"]),
        st.sampled_from(["*", "*/5", "0", "2", "2,3", "1-4"]),
        st.sampled_from(["*", "1", "1,31", "*/3", "L", "13-20"]),
        st.sampled_from(["*", "3", "10,11", "FEB", "*/4"]),
        st.sampled_from(["*", "MON", "0", "1-5", "SUN#1", "6L"]),
    ),
)
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/Havana", "Africa/Cairo", "Asia/Tokyo"])


@given(
    EXPRESSIONS,
    ZONES,
    st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2027, 12, 31)),  # noqa: DTZ001
    st.integers(0, 40 * 86_400),
)
def test_times_go_forward_and_the_latest_is_the_one_before_the_next(
    expression: str, zone: str, naive: datetime, seconds: int
) -> None:
    times = cron(expression, zone)
    after = naive.replace(tzinfo=UTC)
    first = times.next_after(after)
    until = first + timedelta(seconds=seconds)

    latest = times.latest(first, until)

    assert after < first <= latest <= until < times.next_after(latest)
    assert (first.second, first.microsecond) == (0, 0)
    # Wherever one looks from in between, the answer is the same.
    assert times.next_after(after + (first - after) / 2) == first
    if latest > first:
        assert times.next_after(latest - timedelta(microseconds=1)) == latest


def test_the_latest_of_many_years_is_found_at_once() -> None:
    minutely, yearly = cron("* * * * *"), cron("0 0 29 2 *")

    assert minutely.latest(at("1970-01-01"), at("2026-11-23T05:17:30")) == at("2026-11-23T05:17")
    assert yearly.latest(at("1972-02-29"), at("2026-11-23")) == at("2024-02-29")


def test_an_interval_counts_from_its_first_time() -> None:
    times = made(every=90).times

    assert following(times, "2026-10-25T00:59:59.25", 2) == [
        at("2026-10-25T01:01:29.25"),
        at("2026-10-25T01:02:59.25"),
    ]
    first = at("2026-10-25T00:00:00.5")
    assert times.latest(first, first) == first
    assert times.latest(first, first + timedelta(seconds=89)) == first
    assert times.latest(first, first + timedelta(days=365.2501)) == first + timedelta(
        seconds=90 * (365.2501 * 86_400 // 90)
    )


def test_a_definition_is_the_same_for_the_same_times() -> None:
    assert made("0  * * * *").times.definition == made("0 * * * *").times.definition
    assert made(every=30).times.definition == made(every=30.0).times.definition
    different = [
        made("0 * * * *"),
        made("1 * * * *"),
        made("0 * * * *", timezone="Europe/Berlin"),
        made(every=30),
        made(every=31),
    ]
    assert len({one.times.definition for one in different}) == len(different)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 8",
        "-1 * * * *",
        "5-1 * * * *",
        "*/0 * * * *",
        "1,,2 * * * *",
        "a * * * *",
        "* * * * MONDAY",
        "0 0 31 2 *",
        "0 0 30 2 *",
        "0 0 31 4,6,9,11 *",
        "0 0 */30 2 1#5",
        "@reboot",
        "@",
        "? * * * *",
        "1 * * * MON#6",
        "1 * * * #1",
        "\u0663 * * * *",
        "1" * 5000 + " * * * *",
        5,
        b"* * * * *",
        ["* * * * *"],
    ],
)
def test_an_expression_that_means_nothing_is_refused(expression: Any) -> None:
    with pytest.raises(DefinitionError, match="schedule="):
        made(expression)


def test_no_text_breaks_the_parser() -> None:
    chance = random.Random(7)  # noqa: S311  no secret
    for _ in range(2_000):
        parts = ["".join(chance.choices("*/-,#LW0123456789MONJA", k=chance.randint(1, 4)))]
        parts += chance.choices(["*", "1", "L", "LW", "1#2", "5L", "*/2", "1-3", "JAN"], k=4)
        chance.shuffle(parts)
        try:
            made(" ".join(parts))
        except DefinitionError:
            continue


@pytest.mark.parametrize(
    "zone", ["", "Berlin", "Europe", "../zone", "/etc/localtime", "Europe/berlin\0", 1, "UTC+1"]
)
def test_a_zone_that_does_not_exist_is_refused(zone: Any) -> None:
    with pytest.raises(DefinitionError, match="timezone="):
        made("* * * * *", timezone=zone)


@pytest.mark.parametrize("every", [0, 0.5, -1, "30", True, float("nan"), float("inf"), 1e12])
def test_an_interval_that_cannot_be_is_refused(every: Any) -> None:
    with pytest.raises(DefinitionError, match="expected seconds from 1"):
        made(every=every)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"schedule": "* * * * *", "every": 30}, "exclude each other"),
        ({"every": 30, "timezone": "UTC"}, "timezone= is for schedule="),
        ({"timezone": "UTC"}, "timezone= is for schedule="),
        ({"every": 30, "missed": "all"}, "missed='all', expected 'latest' or 'skip'"),
        ({"every": 30, "missed": None}, "missed=None"),
        ({"every": 30, "missed": []}, "missed="),
    ],
)
def test_options_that_contradict_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(DefinitionError, match=reason):
        made(options.pop("schedule", None), **options)


def test_no_option_is_no_schedule() -> None:
    assert (
        Schedule.of(schedule=None, every=None, timezone=None, missed="latest", payload=b"") is None
    )


def test_lists_show_one_or_the_other() -> None:
    assert made("@daily", timezone="Asia/Tokyo", missed="skip").to_json() == {
        "schedule": "@daily",
        "timezone": "Asia/Tokyo",
        "missed": Missed.SKIP,
    }
    assert made(every=30).to_json() == {"every": 30, "timezone": None, "missed": "latest"}


def test_an_id_says_when_it_was_due() -> None:
    due = at("2026-11-23T05:00")
    found = id_of_run("hourly", us_of(due))

    assert found == "hourly@2026-11-23T05:00:00Z"
    assert scheduled_at("hourly", found) == due
    odd = us_of(due) + 1
    assert id_of_run("hourly", odd) == "hourly@2026-11-23T05:00:00.000001Z"
    assert us_of(scheduled_at("hourly", id_of_run("hourly", odd)) or due) == odd
    assert time_of(odd) == due + timedelta(microseconds=1)


@pytest.mark.parametrize(
    "other",
    ["", "hourly", "hourly@", "hourly@now", "other@2026-11-23T05:00:00Z", "hourly@2026-11-23"],
)
def test_another_id_says_nothing(other: str) -> None:
    assert scheduled_at("hourly", other) is None
