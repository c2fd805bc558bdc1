"""An emulator's clock, and its reset, on a real stack."""

import contextlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import redis

from runtime import message
from runtime.errors import EyasError
from runtime.invocation import Invocation, new_id
from runtime.policy import RetryPolicy
from runtime.store import Store, accepting
from runtime.testing import Stack
from tests.asking import accept, lines, record, until_failed

MODULE = """
import time
from pathlib import Path

from runtime import Context, Retry, function


@function(retries=2, max_age=1_000)
def flaky(marker: str, after: float, context: Context) -> int:
    with Path(marker).open("a") as file:
        print(context.attempt, file=file)
    raise Retry(after=after)


@function
def moody(marker: str) -> int:
    with Path(marker).open("a") as file:
        print("begun", file=file)
    raise ValueError("no")


@function
def nap(marker: str, seconds: float) -> int:
    with Path(marker).open("a") as file:
        print("begun", file=file)
    time.sleep(seconds)
    return 1
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("clock") / "clocked"
    folder.mkdir()
    (folder / "some.py").write_text(MODULE)
    with Stack(functions_dir=folder, environment={"EYAS_WORKERS": "1"}) as stack:
        yield stack


@pytest.fixture(autouse=True)
def _anew(request: pytest.FixtureRequest) -> None:
    if "stack" in request.fixturenames:
        request.getfixturevalue("stack").reset()


def status(stack: Stack, invocation_id: str) -> str:
    return str(stack.request(f"/invocations/{invocation_id}").body["status"])


def test_minutes_between_retries_take_no_time(stack: Stack, tmp_path: Path) -> None:
    marker = tmp_path / "attempts"
    name = accept(stack, "flaky", {"marker": str(marker), "after": 100})
    began = time.monotonic()

    def has_failed(attempt: int) -> bool:
        # Its status is that of the attempt before until it is known how this one ended.
        is_put_off = stack.request(f"/invocations/{name}").body["due_at"] is not None
        return is_put_off and len(lines(marker)) == attempt

    for attempt in (1, 2):
        stack.wait_for(partial(has_failed, attempt), "a failure")
        assert [line[0] for line in lines(marker)] == [str(n) for n in range(1, attempt + 1)]
        stack.advance(99)
        assert status(stack, name) == "retrying"
        stack.advance(1)
    ended = record(stack, name)
    assert time.monotonic() - began < 50
    assert (ended["status"], ended["attempt"], ended["dead_letter"]) == (
        "failed",
        3,
        "RetriesExhausted",
    )
    assert ended["queue_wait_ms"] > 199_000


def test_what_is_too_old_by_this_clock_is_not_run(stack: Stack, tmp_path: Path) -> None:
    marker = tmp_path / "attempts"
    body = json.dumps({"marker": str(marker), "after": 0}).encode()
    late = stack.request("/functions/flaky", body=body, headers={"Eyas-Delay": "900"}).body["id"]
    stack.advance(1_001)
    assert record(stack, late)["status"] == "expired"
    assert lines(marker) == []


def test_records_expire_by_this_clock(stack: Stack, tmp_path: Path) -> None:
    done = accept(stack, "nap", {"marker": str(tmp_path / "m"), "seconds": 0})
    assert record(stack, done)["status"] == "succeeded"
    stack.advance(86_000)
    assert stack.request(f"/invocations/{done}").status == 200
    stack.advance(500)
    assert stack.request(f"/invocations/{done}").status == 410
    stack.advance(9 * 86_400)
    assert stack.request(f"/invocations/{done}").status == 404


def test_an_attempt_that_runs_does_not_age(stack: Stack, tmp_path: Path) -> None:
    marker = tmp_path / "begun"
    running = accept(stack, "nap", {"marker": str(marker), "seconds": 2})
    stack.wait_for(marker.exists, "the attempt")
    stack.advance(3_600)
    ended = record(stack, running)
    assert (ended["status"], ended["attempt"]) == ("succeeded", 1)
    assert len(lines(marker)) == 1


def test_a_reset_leaves_nothing(stack: Stack, tmp_path: Path) -> None:
    marker = tmp_path / "begun"
    running = accept(stack, "nap", {"marker": str(marker), "seconds": 30})
    stack.wait_for(marker.exists, "the attempt")
    waiting = [accept(stack, "nap", {"marker": str(marker), "seconds": 0}) for _ in range(20)]
    stack.advance(5_000)

    stack.reset()

    assert all(stack.request(f"/invocations/{i}").status == 404 for i in (running, *waiting))
    assert stack.request("/_emulator/clock").body["ahead_seconds"] == 0
    # The one worker is free again long before the nap is over, and none of the others has run.
    assert stack.invoke("nap", {"marker": str(tmp_path / "other"), "seconds": 0}, seconds=20) == 1
    assert len(lines(marker)) == 1
    assert stack.request("/dead-letters").body["dead_letters"] == []


def test_who_waits_for_what_a_reset_forgets_hears_of_it(stack: Stack, tmp_path: Path) -> None:
    marker = tmp_path / "begun"
    running = accept(stack, "nap", {"marker": str(marker), "seconds": 30})
    channel = f"eyas:invocation:{running}"
    with redis.Redis.from_url(stack.redis_url) as connection, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(
            stack.request, f"/invocations/{running}", headers={"Prefer": "wait=25"}
        )
        stack.wait_for(lambda: connection.pubsub_numsub(channel)[0][1] == 1, "the waiter")
        stack.reset()
        assert waiting.result(10).status == 404


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"seconds": -1}', b'{"seconds": true}', b'{"seconds": "1"}', b"{"]
)
def test_a_clock_is_only_moved_on(stack: Stack, body: bytes) -> None:
    answer = stack.request("/_emulator/clock/advance", body=body, method="POST")
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_clock_is_moved_on_as_far_as_its_times_can_be_written(stack: Stack) -> None:
    hundred_years = b'{"seconds": 3153600000}'
    try:
        moved = stack.request("/_emulator/clock/advance", body=hundred_years)
        again = stack.request("/_emulator/clock/advance", body=hundred_years)
        clock = stack.request("/_emulator/clock").body
    finally:
        stack.reset()

    assert moved.status == 200
    assert (again.status, again.headers["content-type"]) == (400, "application/problem+json")
    assert "reset" in again.body["detail"]
    assert clock["ahead_seconds"] == pytest.approx(3153600000, abs=1)


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"])
def test_what_a_proxy_forwards_is_refused(stack: Stack, header: str) -> None:
    for path in ("/_emulator/reset", "/_emulator/clock/advance"):
        answer = stack.request(path, body=b"{}", headers={header: "203.0.113.7"})
        assert (answer.status, answer.headers["content-type"]) == (403, "application/problem+json")
    assert stack.request("/_emulator/clock", headers={header: "x"}).status == 403


def test_the_fixture_says_what_was_wrong(stack: Stack) -> None:
    with pytest.raises(EyasError, match="cannot be set back"):
        stack.advance(-1)


def test_without_an_emulator_there_are_no_such_routes(broker: Stack) -> None:
    environment = {"EYAS_EMULATOR": "off", "REDIS_URL": broker.redis_url}
    with Stack(
        functions_dir=Path("functions"), environment=environment, processes=("web",)
    ) as stack:
        stack.wait_for(lambda: stack.request("/healthz").status == 200, "web")
        for path in ("/_emulator/clock", "/_emulator/clock/advance", "/_emulator/reset"):
            assert stack.request(path, body=b"{}").status == 404


def test_all_of_time_may_go_faster(tmp_path: Path) -> None:
    with Stack(functions_dir=Path("functions"), environment={"EYAS_TIME_SCALE": "200"}) as stack:
        began = time.monotonic()
        body = json.dumps({"number": 3}).encode()
        later = stack.request("/functions/fib", body=body, headers={"Eyas-Delay": "200"}).body["id"]
        ended = record(stack, later)
        assert ended["status"] == "succeeded"
        assert 200_000 < ended["queue_wait_ms"] < 200 * 1000 * (time.monotonic() - began) + 1
        assert time.monotonic() - began > 1
        stack.wait_for(
            lambda: stack.request(f"/invocations/{later}").status == 200, "the record", seconds=1
        )
        assert stack.request("/_emulator/clock").body["scale"] == 200
        stack.advance(86_400)
        assert stack.request(f"/invocations/{later}").status == 410


def test_an_invocation_can_bring_its_own_policy(stack: Stack, tmp_path: Path) -> None:
    """Of a function that retries with its own pauses: two retries, after one minute and two."""
    policy = RetryPolicy(retries=2, pauses_seconds=(60, 120), max_age_seconds=1_000)
    invocation = Invocation(
        id=new_id(),
        function="moody",
        payload=json.dumps({"marker": str(tmp_path / "attempts")}).encode(),
        trigger="http",
        timeout_seconds=30,
        retries=policy.retries,
        max_age_seconds=policy.max_age_seconds,
        policy=policy.encode(),
    )
    with contextlib.closing(Store(stack.redis_url)) as store:
        store.run(accepting.accept(invocation, message.encode(invocation, None)))
    for attempt, pause in ((1, 60), (2, 120)):
        until_failed(stack, invocation.id, attempt)
        stack.advance(pause - 1)
        found = stack.request(f"/invocations/{invocation.id}").body
        assert (found["status"], found["attempt"]) == ("retrying", attempt)
        stack.advance(1)
    ended = record(stack, invocation.id)
    assert (ended["status"], ended["attempt"]) == ("failed", 3)
    assert ended["dead_letter"] == "RetriesExhausted"
