"""Functions that run by themselves, on a real stack whose clock is moved on."""

import itertools
import json
import random
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner

from runtime.cli.__main__ import eyas
from runtime.store import Store, clock
from runtime.testing import Stack
from tests.asking import assert_conserved, lines, logged, record

MODULE = """
from pathlib import Path

from runtime import Context, Retry, function


@function(schedule="0 * * * *", retries=1)
def hourly(context: Context) -> str:
    if context.attempt == 1:
        raise Retry(after=0)
    return str(context.scheduled_at)


@function(schedule="30 2 * * *", timezone="Europe/Berlin", missed="skip")
def nightly() -> None: ...


@function(every=30, schedule_payload={"number": 3})
def often(number: int) -> int:
    return number


@function
def by_hand(context: Context) -> str:
    return str(context.scheduled_at)
"""
HOUR = 3600
SCHEDULED = ["hourly", "nightly", "often"]


@pytest.fixture(scope="module")
def _stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("schedules") / "timed"
    folder.mkdir()
    (folder / "some.py").write_text(MODULE)
    with Stack(functions_dir=folder, environment={"EYAS_WORKERS": "1"}) as stack:
        yield stack


@pytest.fixture
def stack(_stack: Stack) -> Stack:
    """A stack with one scheduler, which has seen each schedule, and nothing has run."""
    for name in sorted(set(_stack.running) - {"broker", "web", "worker"}):
        _stack.kill(name)
    _stack.reset()
    begin(_stack)
    return _stack


def begin(stack: Stack) -> None:
    """Start the scheduler at five past an hour: no time comes while nobody moves the clock on."""
    now = datetime.fromisoformat(stack.request("/_emulator/clock").body["now"])
    stack.advance(((5 - now.minute) % 60) * 60 - now.second + 60)
    stack.start("scheduler")
    wait_until_planned(stack)


def wait_until_planned(stack: Stack) -> None:
    stack.wait_for(
        lambda: all(one["next_run_at"] for one in listed(stack).values()), "the scheduler"
    )


def listed(stack: Stack) -> dict[str, dict[str, Any]]:
    answer = stack.request("/schedules")
    assert answer.status == 200
    return {one["name"]: one for one in answer.body["schedules"]}


def asked(stack: Stack, path: str, **headers: str) -> Any:
    return stack.request(f"/schedules{path}", method="POST", headers=headers)


def accepted(stack: Stack, name: str) -> int:
    return int(stack.request(f"/functions/{name}").body["counts"]["accepted"])


def runs(stack: Stack, name: str) -> list[str]:
    """Return for which times a function has run, or waits to be; the broker is asked."""
    with redis.Redis.from_url(stack.redis_url) as connection:
        keys = connection.scan_iter(match=f"eyas:invocation:{name}@*", count=1000)
        return sorted(key.decode().rpartition("@")[2] for key in keys)


def pass_next(stack: Stack, name: str) -> str:
    """Let time pass until a second after a schedule is due; return when it was due.

    The broker's clock is moved on: the HTTP route would wait until a scheduler has seen it.
    """
    due = listed(stack)[name]["next_run_at"]
    now = stack.request("/_emulator/clock").body["now"]
    left = datetime.fromisoformat(due) - datetime.fromisoformat(now)
    store = Store(stack.redis_url)
    store.run(clock.advance(seconds=max(0.0, left.total_seconds()) + 1))
    store.close()
    return f"{due[:19]}Z"


def has_moved_on(stack: Stack, name: str, due: str) -> Callable[[], bool]:
    return lambda: str(listed(stack)[name]["next_run_at"])[:19] > due[:19]


def advance(stack: Stack, name: str) -> str:
    """Let a schedule become due, and a scheduler see it; return when it was due."""
    due = pass_next(stack, name)
    stack.wait_for(has_moved_on(stack, name, due), f"{name} to be seen")
    return due


def test_each_hour_of_a_day_is_run_once_whoever_is_killed(stack: Stack) -> None:
    stack.start("scheduler", instance="second")
    chance = random.Random(11)  # noqa: S311  no secret
    hours = []
    for _ in range(24):
        due = pass_next(stack, "hourly")
        victim = chance.choice(["scheduler", "second", None])
        if victim is not None:
            stack.kill(victim)
            stack.start("scheduler", instance=victim)
        stack.wait_for(has_moved_on(stack, "hourly", due), "the hour to be seen")
        hours.append(due)

    assert runs(stack, "hourly") == hours
    assert len(set(hours)) == 24
    first, last = datetime.fromisoformat(hours[0]), datetime.fromisoformat(hours[-1])
    assert last - first == timedelta(hours=23)
    for hour in hours:
        ended = record(stack, f"hourly@{hour}")
        # Not by the first attempt, and it is still told the same time.
        assert (ended["status"], ended["attempt"] >= 2) == ("succeeded", True)
        assert ended["result"] == f"{hour[:10]} {hour[11:19]}+00:00"
        assert (ended["trigger"], ended["payload"]) == ("schedule", {})
    assert accepted(stack, "hourly") == 24
    assert_conserved(stack)


def test_hour_by_hour_each_is_run_when_the_clock_has_been_moved_on(stack: Stack) -> None:
    for number in range(1, 25):
        stack.advance(HOUR)
        assert accepted(stack, "hourly") == number

    assert len(runs(stack, "hourly")) == 24
    # Of 120 in an hour the latest: nobody looked in between.
    assert 24 <= accepted(stack, "often") < 48
    # It does not wait for a scheduler that does not run.
    stack.stop("scheduler")
    stack.advance(HOUR)
    assert accepted(stack, "hourly") == 24


def test_seconds_are_counted_from_one_run_to_the_next(stack: Stack) -> None:
    dues = [listed(stack)["often"]["next_run_at"]]
    for _ in range(5):
        advance(stack, "often")
        dues.append(listed(stack)["often"]["next_run_at"])

    times = [datetime.fromisoformat(due) for due in dues]
    assert {later - earlier for earlier, later in itertools.pairwise(times)} == {
        timedelta(seconds=30)
    }
    assert accepted(stack, "often") == 5
    last = listed(stack)["often"]["last_invocation_id"]
    assert record(stack, last)["result"] == 3


def test_after_a_downtime_the_latest_is_run_once_or_none(stack: Stack) -> None:
    stack.start("scheduler", instance="second")
    assert stack.stop("scheduler") == 0
    stack.kill("second")
    before = listed(stack)
    stack.advance(49.5 * HOUR)
    stack.start("scheduler")
    stack.start("scheduler", instance="second")
    for name in SCHEDULED:
        stack.wait_for(has_moved_on(stack, name, before[name]["next_run_at"]), f"{name} to be seen")

    now = stack.request("/_emulator/clock").body["now"]
    assert runs(stack, "hourly") == [f"{now[:13]}:00:00Z"]
    assert accepted(stack, "hourly") == accepted(stack, "often") == 1
    assert accepted(stack, "nightly") == 0
    after = listed(stack)
    assert after["nightly"]["last_invocation_id"] is None
    for name in SCHEDULED:
        left = datetime.fromisoformat(after[name]["next_run_at"]) - datetime.fromisoformat(now)
        assert left <= timedelta(days=1)
    missed = logged(stack, lambda one: one["event"] == "schedule.missed", process="scheduler")
    assert {one["function"] for one in missed} == set(SCHEDULED)

    advance(stack, "nightly")
    stack.wait_for(lambda: accepted(stack, "nightly") == 1, "the next night")
    assert_conserved(stack)


def test_what_is_paused_does_not_run_and_is_not_made_up_for(stack: Stack) -> None:
    paused = asked(stack, "/hourly/pause")
    assert (paused.status, paused.body["paused"], paused.body["next_run_at"]) == (200, True, None)
    assert asked(stack, "/hourly/pause").body == paused.body
    stack.kill("scheduler")
    stack.start("scheduler")
    stack.advance(10 * HOUR)
    stack.wait_for(lambda: accepted(stack, "often") >= 1, "a schedule that is not paused")
    advance(stack, "often")
    assert listed(stack)["hourly"]["paused"] is True

    resumed = asked(stack, "/hourly/resume")
    assert (resumed.status, resumed.body["paused"]) == (200, False)
    again = asked(stack, "/hourly/resume").body
    assert again == resumed.body
    now = stack.request("/_emulator/clock").body["now"]
    assert resumed.body["next_run_at"] > now
    advance(stack, "often")
    assert accepted(stack, "hourly") == 0
    due = advance(stack, "hourly")
    assert runs(stack, "hourly") == [due]


def test_a_schedule_can_be_run_now(stack: Stack) -> None:
    before = listed(stack)["often"]
    asked(stack, "/often/pause")
    answer = asked(stack, "/often/run")
    assert answer.status == 202
    assert answer.headers["location"] == f"/invocations/{answer.body['id']}"
    assert (answer.body["function"], answer.body["status"]) == ("often", "queued")
    ended = record(stack, answer.body["id"])
    assert (ended["trigger"], ended["payload"], ended["result"]) == ("schedule", {"number": 3}, 3)
    shown = listed(stack)["often"]
    assert shown["last_invocation_id"] == answer.body["id"]
    assert shown["last_run_at"] == ended["accepted_at"]
    assert (before["last_invocation_id"], before["last_run_at"]) == (None, None)

    planned = listed(stack)["hourly"]["next_run_at"]
    waited = asked(stack, "/hourly/run", Prefer="wait=20")
    assert (waited.status, waited.headers["preference-applied"]) == (200, "wait=20")
    # It is told that it is due now.
    told = datetime.fromisoformat(waited.body["result"])
    run = record(stack, waited.body["id"])
    assert datetime.fromisoformat(ended["accepted_at"]) < told
    assert told <= datetime.fromisoformat(run["accepted_at"])
    assert listed(stack)["hourly"]["next_run_at"] == planned

    key = {"Idempotency-Key": "once"}
    first, second = asked(stack, "/often/run", **key), asked(stack, "/often/run", **key)
    assert first.body["id"] == second.body["id"]
    assert second.headers["idempotent-replayed"] == "true"
    later = asked(stack, "/often/run", **{"Eyas-Delay": "100"}).body["id"]
    assert stack.request(f"/invocations/{later}").body["due_at"] is not None
    assert_conserved(stack)


def test_only_a_schedule_tells_a_handler_a_time(stack: Stack) -> None:
    assert stack.invoke("by_hand") == "None"
    run = asked(stack, "/hourly/run", Prefer="wait=20").body["id"]
    replayed = stack.request(
        f"/invocations/{run}/replay", method="POST", headers={"Prefer": "wait=20"}
    )
    assert replayed.body["result"] == "None"


@pytest.mark.parametrize("what", ["run", "pause", "resume"])
@pytest.mark.parametrize("name", ["by_hand", "nobody", "a%2Fb"])
def test_what_has_no_schedule_is_unknown(stack: Stack, what: str, name: str) -> None:
    answer = asked(stack, f"/{name}/{what}")
    assert answer.status == 404
    if name != "a%2Fb":
        assert answer.body["type"] == "urn:eyas:problem:unknown-schedule"
        assert "Functions with one: hourly, nightly, often." in answer.body["detail"]


def test_functions_say_what_their_schedules_are(stack: Stack) -> None:
    found = {one["name"]: one for one in stack.request("/functions").body["functions"]}
    assert found["hourly"]["triggers"] == ["http", "celery", "schedule"]
    assert found["by_hand"]["triggers"] == ["http", "celery"]
    members = ("schedule", "every", "timezone", "missed")
    assert [found["nightly"][one] for one in members] == [
        "30 2 * * *",
        None,
        "Europe/Berlin",
        "skip",
    ]
    assert [found["often"][one] for one in members] == [None, 30, None, "latest"]
    assert [found["by_hand"][one] for one in members] == [None] * 4


def test_a_reset_forgets_what_was_known_of_schedules(stack: Stack) -> None:
    asked(stack, "/nightly/pause")
    asked(stack, "/often/run")
    stack.advance(400 * 86_400)
    stack.reset()

    wait_until_planned(stack)
    now = datetime.fromisoformat(stack.request("/_emulator/clock").body["now"])
    for one in listed(stack).values():
        assert (one["paused"], one["last_run_at"], one["last_invocation_id"]) == (False, None, None)
        left = datetime.fromisoformat(one["next_run_at"]) - now
        assert left <= timedelta(days=1)
    due = advance(stack, "hourly")
    assert runs(stack, "hourly") == [due]


def test_the_command_line(stack: Stack) -> None:
    def run(*arguments: str) -> Any:
        return CliRunner().invoke(eyas, ["schedules", *arguments, "--url", stack.url])

    shown = run()
    assert shown.exit_code == 0
    assert [line.split("  ")[0].strip() for line in shown.output.splitlines()] == SCHEDULED
    assert "30 2 * * * (Europe/Berlin)  next 20" in shown.output
    assert "every 30 s  next 20" in shown.output
    assert "has not run yet" in shown.output
    assert json.loads(run("--json").output)["schedules"] == list(listed(stack).values())
    assert run("pause", "nightly").output == "paused\n"
    assert "(Europe/Berlin)  paused" in run().output
    assert run("resume", "nightly").output.startswith("next 20")
    invocation_id = run("run", "often").output.strip()
    assert record(stack, invocation_id)["trigger"] == "schedule"
    assert "last 20" in run().output
    refused = run("run", "by_hand")
    assert (refused.exit_code, "no schedule named 'by_hand'" in refused.output) == (1, True)


def test_a_changed_definition_is_planned_anew_and_one_that_is_gone_is_not_run(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "changing"
    folder.mkdir()
    module = folder / "some.py"
    head = "from runtime import function\n\n"

    def write(*options: str) -> None:
        module.write_text(
            head
            + "\n".join(
                f"@function({option})\ndef f{number}() -> None: ...\n"
                for number, option in enumerate(options)
            )
        )

    def begin_again() -> None:
        stack.stop("web")
        for name in ("web", "scheduler"):
            stack.start(name)
        stack.wait_for(lambda: stack.request("/healthz").status == 200, "web")

    write('schedule="0 * * * *"', "every=100", 'schedule="* * * * *"')
    with Stack(functions_dir=folder, processes=("broker", "web")) as stack:
        stack.wait_for(lambda: stack.request("/schedules").status == 200, "web and the broker")
        begin(stack)
        same = listed(stack)["f1"]
        stack.stop("scheduler")
        stack.advance(24 * HOUR)
        write('schedule="30 * * * *"', "every=100", "")
        begin_again()
        stack.wait_for(lambda: listed(stack)["f0"]["next_run_at"] is not None, "the scheduler")
        stack.wait_for(has_moved_on(stack, "f1", same["next_run_at"]), "the scheduler")

        assert listed(stack)["f0"]["next_run_at"][14:19] == "30:00"
        assert [accepted(stack, name) for name in ("f0", "f1", "f2")] == [0, 1, 0]
        assert set(listed(stack)) == {"f0", "f1"}
        advance(stack, "f0")
        assert accepted(stack, "f0") == 1
        assert accepted(stack, "f2") == 0


def test_a_schedule_that_is_written_while_all_runs_is_run(tmp_path: Path) -> None:
    folder = tmp_path / "growing"
    folder.mkdir()
    module = folder / "some.py"
    text = "from runtime import function\n\n\n@function({})\ndef f() -> None: ...\n"
    module.write_text(text.format(""))
    with Stack(functions_dir=folder, processes=("broker", "web", "scheduler")) as stack:
        stack.wait_for(lambda: listed(stack) == {}, "web")
        for option, minute in (('schedule="7 * * * *"', "07"), ('schedule="9 * * * *"', "09")):
            module.write_text(text.format(option))
            stack.wait_for(
                lambda minute=minute: (
                    str(listed(stack).get("f", {}).get("next_run_at"))[14:16] == minute
                ),
                "the scheduler",
            )
        before = accepted(stack, "f")
        advance(stack, "f")
        assert accepted(stack, "f") == before + 1
        written_at = datetime.now(UTC).isoformat()
        module.write_text(text.format(""))
        stack.wait_for(lambda: listed(stack) == {}, "web")
        stack.wait_for(
            lambda: any(
                line["timestamp"] > written_at
                for line in logged(stack, is_reload, process="scheduler")
            ),
            "the scheduler",
        )
        stack.advance(3 * HOUR)
        assert accepted(stack, "f") == before + 1


def is_reload(line: dict[str, Any]) -> bool:
    return bool(line["event"] == "functions.reloaded")


def test_a_function_that_hangs_while_it_is_imported_stops_no_retries(tmp_path: Path) -> None:
    folder = tmp_path / "slow"
    folder.mkdir()
    imported = tmp_path / "imported"
    (folder / "some.py").write_text(
        f"""
import sys, time
from pathlib import Path
from runtime import function

if any("scheduler" in one for one in sys.orig_argv):
    Path({str(imported)!r}).write_text("begun")
    time.sleep(60)

@function(every=30)
def f() -> None: ...
"""
    )
    with Stack(functions_dir=folder, processes=("broker", "web", "worker")) as stack:
        stack.start("scheduler")
        stack.wait_for(imported.exists, "the scheduler")
        answer = stack.request("/functions/f", body=b"{}", headers={"Eyas-Delay": "1"})
        assert record(stack, answer.body["id"])["status"] == "succeeded"
        assert lines(imported) == [["begun"]]
        assert listed(stack)["f"]["next_run_at"] is None
        assert stack.stop("scheduler") == -signal.SIGTERM


def test_schedules_go_as_fast_as_all_of_time(tmp_path: Path) -> None:
    folder = tmp_path / "fast"
    folder.mkdir()
    (folder / "some.py").write_text(
        'from runtime import function\n\n\n@function(schedule="* * * * *", missed="skip")\n'
        "def minutely() -> None: ...\n"
    )
    environment = {"EYAS_TIME_SCALE": "120"}
    processes = ("broker", "web", "scheduler")
    with Stack(functions_dir=folder, environment=environment, processes=processes) as stack:
        stack.wait_for(lambda: accepted(stack, "minutely") >= 4, "four minutes")
        times = runs(stack, "minutely")

    assert all(time.endswith(":00Z") for time in times)
    assert len(set(times)) == len(times)
