"""`GET /invocations`: which are listed, in which order, and that nothing moves a cursor."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import celery
import pytest
import redis

from runtime.invocation import Status
from runtime.store import dead_letters, lifecycle, listing
from runtime.store.accepting import Offer, accept_all
from runtime.store.lifecycle import Accepting
from runtime.store.listing import Position
from runtime.testing import Stack
from tests.service.conftest import ActingWorker
from tests.store_bench import Bench, an_invocation, message

HOUR_US = 3_600_000_000
LONG_KEPT = """
from runtime import function


@function
def echo(event):
    return event


@function
def late(event):
    return event


@function(every=86_400)
def daily():
    return None
"""


def accept(stack: Stack, name: str = "echo", payload: Any = 1) -> str:
    answer = stack.request(f"/functions/{name}", body=json.dumps(payload).encode())
    assert answer.status == 202, answer.raw
    return str(answer.body["id"])


def listed(stack: Stack, query: str = "") -> list[str]:
    answer = stack.request(f"/invocations?{query}")
    assert answer.status == 200, answer.raw
    return [one["id"] for one in answer.body["invocations"]]


def pages(stack: Stack, query: str) -> Iterator[list[str]]:
    cursor = ""
    while True:
        body = stack.request(f"/invocations?{query}{cursor}").body
        yield [one["id"] for one in body["invocations"]]
        if body["next_cursor"] is None:
            return
        cursor = f"&cursor={quote(body['next_cursor'])}"


def walked(bench: Bench, *, limit: int) -> list[str]:
    """List all, part by part."""
    found: list[str] = []
    position = None
    while True:
        part = bench.run(listing.read_part(limit=limit, position=position))
        found += [one.id for one in part.records]
        position = part.next_position
        if position is None:
            return found


def test_the_latest_is_first(web_stack: Stack) -> None:
    assert listed(web_stack) == []
    ids = [accept(web_stack) for _ in range(3)]

    assert listed(web_stack) == ids[::-1]
    whole = web_stack.request(f"/invocations/{ids[0]}").body
    assert web_stack.request("/invocations").body["invocations"][2] == whole


def test_a_batch_is_listed_too(web_stack: Stack) -> None:
    ids = web_stack.request("/functions/echo/batch", body=b"[1, 2, 3]").body["ids"]

    assert listed(web_stack) == ids[::-1]


def test_a_cursor_is_where_it_was_whatever_comes(web_stack: Stack) -> None:
    ids = [accept(web_stack) for _ in range(5)]
    found = []
    for page in pages(web_stack, "limit=2"):
        found += page
        accept(web_stack)

    assert found == ids[::-1]


def test_they_are_told_apart_by_function_and_status(
    web_stack: Stack, acting_worker: ActingWorker
) -> None:
    first = accept(web_stack)
    acting_worker.succeed(1)
    second = accept(web_stack, "limited", {"number": 1})
    acting_worker.give_up()
    third = accept(web_stack)

    assert listed(web_stack, "function=echo") == [third, first]
    assert listed(web_stack, "function=nobody") == []
    assert listed(web_stack, "status=failed") == [second]
    assert listed(web_stack, "status=succeeded,queued") == [third, first]
    assert listed(web_stack, "status=queued&status=failed") == [third, second]
    assert listed(web_stack, "function=limited&status=queued") == []


def test_only_those_since_a_time(web_stack: Stack) -> None:
    accept(web_stack)
    second = accept(web_stack)
    at = web_stack.request(f"/invocations/{second}").body["accepted_at"]

    assert listed(web_stack, f"since={quote(at)}") == [second]
    assert listed(web_stack, "since=2999-01-01T00:00:00%2B02:00") == []


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("status=finished", "expected one or more of queued, running, retrying"),
        ("since=yesterday", "since: expected a time with its zone"),
        ("since=2026-01-31T12:30:00", "since: expected a time with its zone"),
        ("limit=0", "limit: expected a whole number from 1 to 100"),
        ("cursor=nonsense", "cursor: expected the next_cursor"),
        ("cursor=MTIzNDU2Nzg5MDEyMy4x", "cursor: expected the next_cursor"),
    ],
)
def test_a_bad_parameter_is_400(web_stack: Stack, query: str, detail: str) -> None:
    answer = web_stack.request(f"/invocations?{query}")

    assert answer.status == 400
    assert detail in answer.body["detail"]


def test_large_ones_come_in_smaller_parts(web_stack: Stack) -> None:
    payload = "x" * 90_000
    ids = [accept(web_stack, payload=payload) for _ in range(25)]

    found = list(pages(web_stack, "limit=25"))

    assert len(found) > 1
    assert [one for page in found for one in page] == ids[::-1]


def test_what_has_expired_is_not_listed(web_stack: Stack, acting_worker: ActingWorker) -> None:
    gone, kept = accept(web_stack), accept(web_stack)
    acting_worker.succeed(1)
    with redis.Redis.from_url(web_stack.redis_url) as raw:
        raw.delete(f"eyas:invocation:{gone}")

    assert listed(web_stack) == [kept]


def test_hours_are_crossed(bench: Bench) -> None:
    ids = [bench.accept("f") for _ in range(3)]
    (hour,) = bench.raw.zrange("eyas:hours", 0, -1)
    # As if the first two had been accepted in hours before.
    for back, name in ((5, ids[0]), (1, ids[1])):
        at_us = bench.record(name).accepted_at_us - int(hour) * HOUR_US
        assert bench.raw.lrem(f"eyas:accepted:{int(hour)}", 1, f"{at_us} {name}\nf") == 1
        bench.raw.lpush(f"eyas:accepted:{int(hour) - back}", f"{at_us} {name}\nf")
        bench.raw.zadd("eyas:hours", {str(int(hour) - back): int(hour) - back})
        bench.raw.hincrby(f"eyas:invocation:{name}", "accepted_at", -back * HOUR_US)

    assert walked(bench, limit=1) == ids[::-1]
    since = bench.now_us() - 3 * HOUR_US
    assert [one.id for one in bench.run(listing.read_part(limit=9, since_us=since)).records] == ids[
        :0:-1
    ]


def test_a_part_may_end_within_a_batch(bench: Bench) -> None:
    batch = [an_invocation(f"one-{number}") for number in range(130)]
    offer = Offer.of([(one, message(one.id)) for one in batch])
    before = bench.accept()
    assert [one.outcome for one in bench.run(accept_all([offer]))] == [Accepting.ACCEPTED]
    after = bench.accept()

    expected = [after, *(one.id for one in reversed(batch)), before]
    assert walked(bench, limit=7) == expected


def test_a_place_that_no_answer_has_given_is_any_place(bench: Bench) -> None:
    name = bench.accept("f")
    (hour,) = bench.raw.zrange("eyas:hours", 0, -1)
    for rest, names in (("nonsense", [name]), ("7", [name]), ("-7", [])):
        position = Position(int(hour), 1, rest)
        found = bench.run(listing.read_part(limit=9, position=position))
        # Without the list, it is the next older one that is open.
        assert [one.id for one in found.records] == names


def test_few_among_many_are_found_in_short_steps(bench: Bench) -> None:
    bench.accept("rare")
    for _ in range(2500):
        bench.accept("f")

    first = bench.run(listing.read_part(limit=5, function="rare"))
    rest = bench.run(listing.read_part(limit=5, function="rare", position=first.next_position))

    assert first.records == ()
    assert isinstance(first.next_position, Position)
    assert [one.function for one in rest.records] == ["rare"]
    assert rest.next_position is None


def test_lists_go_when_what_they_list_does(bench: Bench) -> None:
    name = bench.accept("f")
    (hour,) = bench.raw.zrange("eyas:hours", 0, -1)
    left_seconds = bench.raw.ttl(f"eyas:accepted:{int(hour)}")

    assert 86_400 < left_seconds <= 86_400 + 3600
    assert bench.status(name) is Status.QUEUED


def test_a_reset_forgets_lists_and_time_does_not_forget_what_is_open(web_stack: Stack) -> None:
    before = accept(web_stack)
    web_stack.advance(2 * 86_400)
    assert listed(web_stack) == [before]
    late = accept(web_stack)
    assert listed(web_stack) == [late, before]
    assert web_stack.request(f"/invocations/{before}").status == 200
    web_stack.reset()
    assert listed(web_stack) == []
    after = accept(web_stack)

    assert listed(web_stack) == [after]


def test_what_is_open_or_kept_for_longer_than_a_day_is_listed(
    web_stack: Stack, acting_worker: ActingWorker
) -> None:
    done, dead, cancelled = (accept(web_stack) for _ in range(3))
    assert acting_worker.succeed(1) == done
    assert acting_worker.give_up() == dead
    delayed = web_stack.request(
        "/functions/limited", body=b'{"number": 1}', headers={"Eyas-Delay": "900"}
    ).body["id"]
    web_stack.advance(100_000)
    late = accept(web_stack)

    assert listed(web_stack) == [late, delayed, cancelled, dead]
    assert listed(web_stack, "function=limited&status=queued") == [delayed]
    assert listed(web_stack, "status=failed") == [dead]
    at = web_stack.request(f"/invocations/{delayed}").body["accepted_at"]
    assert listed(web_stack, f"since={quote(at)}") == [late, delayed]
    # Whatever changes, nothing moves a cursor.
    found = []
    for page in pages(web_stack, "limit=1"):
        found += page
        if page == [delayed]:
            web_stack.request(f"/invocations/{cancelled}", method="DELETE")
    assert found == [late, delayed, cancelled, dead]

    web_stack.request(f"/dead-letters/{dead}/redrive", body=b"")
    assert listed(web_stack, "status=queued,cancelled") == [late, delayed, cancelled, dead]
    web_stack.advance(100_000)

    assert listed(web_stack) == [late, delayed, dead]


def test_many_that_are_older_than_all_lists_come_part_by_part(bench: Bench) -> None:
    ids = [bench.accept("f") for _ in range(700)]
    for _ in range(300):
        held, name = bench.run_one()
        bench.fail(held, name)
    (hour,) = bench.raw.zrange("eyas:hours", 0, -1)
    bench.raw.delete("eyas:hours", f"eyas:accepted:{int(hour)}")
    # As if some were accepted in one step.
    for name in ids[100:500]:
        key = "eyas:outliving" if name in ids[:300] else "eyas:open"
        at_us = int(bench.raw.zscore("eyas:outliving", ids[100]))
        bench.raw.zadd(key, {name: at_us})
        bench.raw.hset(f"eyas:invocation:{name}", "accepted_at", at_us)

    assert walked(bench, limit=7) == ids[:499:-1] + sorted(ids[100:500], reverse=True) + ids[99::-1]


def test_what_is_remembered_of_those_that_ended_late_is_bounded(bench: Bench) -> None:
    for _ in range(300):
        bench.accept("f")
        held, name = bench.run_one()
        bench.fail(held, name)
        if int(name.removeprefix("id-")) > 20:
            bench.raw.delete(f"eyas:invocation:{name}")

    assert bench.raw.zcard("eyas:outliving") < 60


def test_an_id_that_is_used_again_within_an_hour_is_listed_once(bench: Bench) -> None:
    def accept_again() -> None:
        again = an_invocation("again-1")
        assert bench.run(lifecycle.accept(again, message(again.id))).outcome is Accepting.ACCEPTED

    accept_again()
    bench.fail(*bench.run_one())
    assert bench.run(dead_letters.purge("again-1"))
    between = bench.accept()
    accept_again()

    first = bench.run(listing.read_part(limit=1))
    rest = bench.run(listing.read_part(limit=9, position=first.next_position))

    assert [one.id for one in first.records] == ["again-1"]
    assert [one.id for one in rest.records] == [between]


def by_celery(stack: Stack) -> None:
    with celery.Celery(broker=stack.redis_url) as app:
        app.send_task("echo", args=[1])


def by_its_schedule(stack: Stack) -> None:
    stack.request("/schedules/daily/resume", body=b"")
    stack.advance(86_400)


def to_tell_of_an_end(stack: Stack) -> None:
    delayed = stack.request("/invocations?function=late").body["invocations"][0]["id"]
    assert stack.request(f"/invocations/{delayed}", method="DELETE").status == 202


@pytest.fixture(scope="module")
def long_keeping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that keeps records for a week."""
    folder = tmp_path_factory.mktemp("long_keeping")
    (folder / "some.py").write_text(LONG_KEPT)
    environment = {
        "EYAS_RESULT_TTL_SECONDS": str(7 * 86_400),
        "EYAS_MAX_DELAY_SECONDS": str(30 * 86_400),
        "EYAS_CALLBACK_HOSTS": "127.0.0.1",
        "EYAS_CALLBACK_SECRET": "a secret of some length",
        "EYAS_WORKERS": "1",
    }
    with Stack(functions_dir=folder, environment=environment) as stack:
        yield stack


@pytest.mark.parametrize("accept_first", [by_celery, by_its_schedule, to_tell_of_an_end])
def test_whatever_comes_first_in_an_hour_those_of_days_before_stay_listed(
    long_keeping: Stack, accept_first: Callable[[Stack], None]
) -> None:
    long_keeping.reset()
    long_keeping.request("/schedules/daily/pause", body=b"")
    old = accept(long_keeping)
    delay = {"Eyas-Delay": str(20 * 86_400), "Eyas-Callback": "http://127.0.0.1:9/"}
    late = long_keeping.request("/functions/late", body=b"1", headers=delay).body["id"]
    long_keeping.advance(3 * 86_400)
    assert listed(long_keeping) == [late, old]

    accept_first(long_keeping)
    long_keeping.wait_for(lambda: listed(long_keeping)[0] != late, "another one to be listed")

    assert listed(long_keeping)[-2:] == [late, old]
