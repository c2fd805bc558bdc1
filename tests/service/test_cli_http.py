"""The commands of `eyas` that speak to a running stack."""

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result

from runtime.cli import check
from runtime.cli.__main__ import eyas
from runtime.scheduler.reconciler import Search
from runtime.store.step import Step
from runtime.store.upkeep import Suspect
from runtime.testing import Stack

Run = Callable[..., Result]
UUID = re.compile(r"[0-9a-f-]{36}")


@pytest.fixture
def run(web_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name, value in web_stack.process_environment.items():
        if name.startswith(("EYAS_", "PORT")):
            monkeypatch.setenv(name, value)

    def run(*arguments: str, sent: str | None = None) -> Result:
        return CliRunner().invoke(eyas, arguments, input=sent)

    return run


def test_invoke_prints_an_id(run: Run, web_stack: Stack) -> None:
    result = run("invoke", "echo", '{"a": 1}')

    assert result.exit_code == 0
    record = web_stack.request(f"/invocations/{result.output.strip()}").body
    assert record["payload"] == {"a": 1}


def test_invoke_delays(run: Run, web_stack: Stack) -> None:
    invocation_id = run("invoke", "echo", "--delay", "0.5").output.strip()
    assert web_stack.request(f"/invocations/{invocation_id}").body["due_at"] is not None

    refused = run("invoke", "echo", "--delay", "1e9")
    assert refused.exit_code == 1
    assert "Eyas-Delay: expected seconds from 0 to 1000" in refused.output
    shown = run("status", invocation_id).output
    assert "\ndue_at         20" in shown


def test_invoke_with_a_key_runs_once(run: Run) -> None:
    key = ("--idempotency-key", 'order "7" \\')
    first = run("invoke", "echo", "1", *key)

    assert first.exit_code == 0
    assert run("invoke", "echo", "1", *key).output == first.output
    refused = run("invoke", "echo", "2", *key)
    assert refused.exit_code == 1
    assert "was used before with another payload" in refused.output
    assert run("invoke", "echo", "1", "--idempotency-key", "\u00fc").exit_code == 1


def test_invoke_waits_longer_than_the_server(run: Run, acting_worker: Any) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(run, "invoke", "echo", "1", "--wait", "--seconds", "20")
        time.sleep(4.5)
        assert not waiting.done()
        acting_worker.succeed({"a": 2})
        result = waiting.result(3)

    assert (result.exit_code, result.output) == (0, '{"a": 2}\n')


def test_invoke_prints_the_error_of_a_long_wait(run: Run, acting_worker: Any) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(run, "invoke", "echo", "1", "--wait", "--seconds", "20")
        time.sleep(4.5)
        invocation_id = acting_worker.give_up()
        result = waiting.result(3)

    assert result.exit_code == 1
    assert result.output == f"Error: ValueError: no (eyas logs --id {invocation_id})\n"


@pytest.mark.parametrize("seconds", ["1", "5"])
def test_invoke_waits_no_longer_than_told(run: Run, seconds: str) -> None:
    started = time.monotonic()
    result = run("invoke", "echo", "1", "--wait", "--seconds", seconds)

    assert int(seconds) <= time.monotonic() - started < int(seconds) + 1.5
    assert result.exit_code == 1
    assert UUID.match(result.output)
    assert "not finished in time, but queued. Ask again: eyas status" in result.output


def test_status_waits_for_a_broker_that_is_away(run: Run, web_stack: Stack) -> None:
    invocation_id = run("invoke", "echo").output.strip()
    with redis.Redis.from_url(web_stack.redis_url) as connection:
        connection.execute_command("CLIENT", "PAUSE", "2500", "ALL")
    started = time.monotonic()
    result = run("status", invocation_id, "--wait", "--seconds", "5")

    assert 5 <= time.monotonic() - started < 7
    assert "\nstatus         queued\n" in result.output


def test_cancel(run: Run, acting_worker: Any) -> None:
    waiting = run("invoke", "echo").output.strip()
    assert run("cancel", waiting).output == "cancelled\n"
    assert "is finished" in run("cancel", waiting).output

    running = run("invoke", "echo").output.strip()
    acting_worker.take()  # the message of the cancelled one is still there
    assert acting_worker.start()[1] == running
    assert run("cancel", running).output == "it runs, and is being stopped\n"
    unknown = run("cancel", "some-id")
    assert (unknown.exit_code, unknown.output) == (1, "Error: no invocation with id 'some-id'\n")


def test_replay(run: Run, web_stack: Stack) -> None:
    first = run("invoke", "echo", "1").output.strip()

    same = run("replay", first).output.strip()
    other = run("replay", first, "-", sent="2").output.strip()
    assert web_stack.request(f"/invocations/{same}").body["payload"] == 1
    assert web_stack.request(f"/invocations/{other}").body["payload"] == 2
    assert f"\nreplay_of      {first}\n" in run("status", other).output
    assert run("replay", "some-id").exit_code == 1


def test_dead_letters(run: Run, acting_worker: Any) -> None:
    assert run("dead-letters").output == "There are no dead letters.\n"
    ids = []
    for function in ("echo", "limited", "echo"):
        run("invoke", function, '{"number": 1}')
        ids.append(acting_worker.give_up())

    lines = run("dead-letters").output.splitlines()
    assert [line.split()[0] for line in lines] == ids[::-1]
    assert lines[0].split()[1:] == ["Permanent", "echo", "ValueError:", "no"]
    shown = json.loads(run("dead-letters", "--function", "limited", "--json").output)
    assert [letter["id"] for letter in shown["dead_letters"]] == [ids[1]]
    few = run("dead-letters", "--limit", "1")
    assert few.output.endswith("There are more: --limit 2\n")
    one = run("dead-letters", "show", ids[0])
    assert "reason         Permanent\n" in one.output
    assert "error          ValueError: no\n" in one.output
    assert json.loads(run("dead-letters", "show", ids[0], "--json").output)["id"] == ids[0]

    assert run("dead-letters", "redrive", ids[0]).output == "queued\n"
    assert run("dead-letters", "redrive", ids[0]).exit_code == 1
    assert run("dead-letters", "redrive", "--all", "--function", "limited").output == (
        "1 queued again\n"
    )
    unsure = run("dead-letters", "purge", ids[2], sent="n\n")
    assert (unsure.exit_code, "Aborted!" in unsure.output) == (1, True)
    assert run("dead-letters", "purge", ids[2], sent="y\n").output.endswith("forgotten\n")
    assert run("dead-letters", "purge", "--all", "--yes").output == "0 forgotten\n"


@pytest.mark.parametrize("command", ["redrive", "purge"])
@pytest.mark.parametrize(
    "arguments", [(), ("some-id", "--all"), ("some-id", "--function", "echo"), ("--function", "a")]
)
def test_one_or_all_dead_letters(run: Run, command: str, arguments: tuple[str, ...]) -> None:
    result = run("dead-letters", command, *arguments)

    assert result.exit_code == 2
    assert "give either an ID, or --all" in result.output


def test_check_proves_that_nothing_is_lost(run: Run, web_stack: Stack, acting_worker: Any) -> None:
    for _ in range(4):
        run("invoke", "echo")
    run("invoke", "limited", '{"number": 1}', "--delay", "100")
    acting_worker.succeed(1)
    acting_worker.give_up()
    acting_worker.start()
    result = run("check")

    assert result.exit_code == 0, result.output
    rows = {line.split()[0]: line.split()[1:] for line in result.output.splitlines() if line}
    headings = rows["function"]
    echo = dict(zip(headings, rows["echo"], strict=True))
    assert echo["accepted"] == "4"
    assert (echo["succeeded"], echo["failed"], echo["running"]) == ("1", "1", "1")
    assert "places     open 3, queue 1, in flight 1, running 1, delayed 1, dead letters 1" in (
        result.output
    )
    assert "all 5 accepted invocations are accounted for" in result.output


def test_check_fails_when_something_is_lost(run: Run, web_stack: Stack) -> None:
    run("invoke", "echo")
    with redis.Redis.from_url(web_stack.redis_url) as connection:
        connection.hincrby("eyas:counts:echo", "queued", -1)
    result = run("check")

    assert result.exit_code == 1
    assert "not conserved: echo: 1 accepted, 0 accounted for" in result.output
    assert "are accounted for" not in result.output


def test_check_finds_an_invocation_that_is_nowhere(run: Run, web_stack: Stack) -> None:
    lost = run("invoke", "echo").output.strip()
    with redis.Redis.from_url(web_stack.redis_url) as connection:
        connection.delete("celery")
    result = run("check")

    assert result.exit_code == 1
    assert f"not conserved: 1 invocation(s) are nowhere, {lost} for one" in result.output


def test_check_says_that_nothing_runs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:9/0")
    result = run("check")

    assert result.exit_code == 0
    assert "stack      not running: there is no broker" in result.output


def test_check_fails_when_the_broker_hangs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "_REPLY_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as hung:
        monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{hung.getsockname()[1]}/0")
        result = run("check")

    assert result.exit_code == 1
    assert "not proven: the broker does not answer: Timeout reading" in result.output
    assert "are accounted for" not in result.output


def test_check_fails_when_a_proof_takes_too_long(
    run: Run, web_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("invoke", "echo")

    def lost(search: Search) -> list[Suspect]:
        return search.store.run(Step(arguments=("BLPOP", "nothing", 9), parse=list))

    monkeypatch.setattr(check, "_REPLY_SECONDS", 0.3)
    monkeypatch.setattr(Search, "lost", lost)
    result = run("check")

    assert result.exit_code == 1
    assert "not proven: the broker does not answer" in result.output
    assert "are accounted for" not in result.output


def test_list_shows_what_http_shows(run: Run, web_stack: Stack) -> None:
    listed = {f["name"]: f for f in json.loads(run("list", "--json").output)["functions"]}
    shown = web_stack.request("/functions/limited").body

    del shown["counts"]
    assert listed["limited"] == shown


def test_a_sample_event_is_piped_into_a_handler_that_takes_it_whole(eyas_stack: Stack) -> None:
    command = (
        f"'{sys.executable}' -m runtime.cli event sqs --body '[1]' --count 2"
        f" | '{sys.executable}' -m runtime.cli invoke echo - --wait"
    )
    result = subprocess.run(
        ["/bin/sh", "-c", command],
        env=eyas_stack.process_environment,
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert result.returncode == 0, result.stderr
    records = json.loads(result.stdout)["Records"]
    assert [json.loads(record["body"]) for record in records] == [[1]] * 2
