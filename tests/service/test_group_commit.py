"""Group commit by itself, on a real broker that is slow, hung, killed, full or tampered with."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis

from runtime.errors import BrokerUnavailableError
from runtime.invocation import IdempotencyKey, Invocation, new_id
from runtime.message import encode
from runtime.store import GroupCommit, is_reachable
from runtime.store.accepting import Accepted, Accepting, Offer
from runtime.store.group_commit import Limits
from runtime.testing import Stack


@contextlib.asynccontextmanager
async def committing(stack: Stack, **limits: Any) -> AsyncIterator[GroupCommit]:
    commits = GroupCommit(stack.redis_url, limits=Limits(**limits))
    try:
        assert (await commits.accept(offer("warm"))).outcome is Accepting.ACCEPTED
        yield commits
    finally:
        await commits.close()


def offer(
    name: str | None = None,
    *,
    size: int = 1,
    payload: bytes = b'{"number": 10}',
    key: tuple[str, str] | None = None,
    max_open: int = 0,
) -> Offer:
    members = []
    for _ in range(size):
        invocation = Invocation(
            id=name or new_id(), function="fib", payload=payload, trigger="http", timeout_seconds=30
        )
        members.append((invocation, encode(invocation, None)))
    idempotency = IdempotencyKey(key=key[0], digest=key[1], ttl_seconds=100) if key else None
    return Offer.of(members, max_open=max_open, idempotency=idempotency)


async def outcomes(commits: GroupCommit, *offers: Offer) -> list[Any]:
    return await asyncio.gather(*(commits.accept(one) for one in offers), return_exceptions=True)


def is_refused(answer: Any) -> bool:
    return isinstance(answer, BrokerUnavailableError)


def steps(raw: redis.Redis) -> int:
    stats: Any = raw.info("commandstats")
    return int(stats.get("cmdstat_evalsha", {}).get("calls", 0))


def open_ids(raw: redis.Redis) -> set[str]:
    found: Any = raw.zrange("eyas:open", 0, -1)
    return {one.decode() for one in found} - {"warm"}


def test_what_is_offered_in_one_turn_is_one_step(broker: Stack, raw: redis.Redis) -> None:
    offers = [offer() for _ in range(100)]

    async def check() -> None:
        async with committing(broker) as commits:
            raw.config_resetstat()
            answers = await outcomes(commits, *offers)
        assert answers == [Accepted(Accepting.ACCEPTED, one.id) for one in offers]

    asyncio.run(check())
    assert steps(raw) == 1
    assert open_ids(raw) == {one.id for one in offers}
    assert raw.llen("celery") == 101
    assert raw.hgetall("eyas:counts:fib") == {b"accepted": b"101", b"queued": b"101"}


def test_each_offer_of_a_step_gets_its_own_answer(broker: Stack, raw: redis.Redis) -> None:
    first, again, other = (offer(key=("k", digest)) for digest in ("d1", "d1", "d2"))

    async def check() -> None:
        async with committing(broker) as commits:
            raw.config_resetstat()
            answers = await outcomes(
                commits,
                first,
                offer("warm"),
                again,
                other,
                offer(size=3, max_open=4),
                offer(size=2, max_open=4),
            )
        assert [answer.outcome for answer in answers] == [
            Accepting.ACCEPTED,
            Accepting.KNOWN,
            Accepting.REPLAYED,
            Accepting.CONFLICT,
            Accepting.FULL,  # with what this step has accepted before
            Accepting.ACCEPTED,
        ]
        assert answers[2].id == answers[3].id == first.id

    asyncio.run(check())
    assert steps(raw) == 1
    assert raw.zcard("eyas:open") == raw.llen("celery") == 4


def test_an_id_that_comes_twice_in_a_step_is_accepted_once(broker: Stack, raw: redis.Redis) -> None:
    first, same = (offer("the-same") for _ in range(2))

    async def check() -> None:
        async with committing(broker) as commits:
            raw.config_resetstat()
            answers = await outcomes(commits, first, same, offer())
        assert [answer.outcome for answer in answers] == [
            Accepting.ACCEPTED,
            Accepting.KNOWN,
            Accepting.ACCEPTED,
        ]

    asyncio.run(check())
    assert steps(raw) == 1
    assert raw.zcard("eyas:open") == raw.llen("celery") == 3  # with the one that warms up


def test_steps_are_bounded_by_number_and_size(broker: Stack, raw: redis.Redis) -> None:
    async def check() -> None:
        async with committing(broker, step_offers=10, step_bytes=20_000) as commits:
            raw.config_resetstat()
            assert len(await outcomes(commits, *(offer() for _ in range(25)))) == 25
            assert steps(raw) == 3
            raw.config_resetstat()
            large = offer(payload=b'"%s"' % (b"x" * 50_000))
            assert len(await outcomes(commits, offer(), large, offer())) == 3
            assert steps(raw) == 3

    asyncio.run(check())
    assert raw.zcard("eyas:open") == 29


def test_a_broker_that_forgot_the_script_is_told_it_again(broker: Stack, raw: redis.Redis) -> None:
    async def check() -> None:
        async with committing(broker) as commits:
            raw.script_flush()
            answers = await outcomes(commits, offer(), offer())
        assert [answer.outcome for answer in answers] == [Accepting.ACCEPTED] * 2

    asyncio.run(check())
    assert raw.llen("celery") == 3


def test_a_cancelled_caller_harms_nobody(broker: Stack, raw: redis.Redis) -> None:
    offers = [offer() for _ in range(20)]

    async def check() -> None:
        async with committing(broker, steps=1, step_offers=4) as commits:
            tasks = [asyncio.create_task(commits.accept(one)) for one in offers]
            await asyncio.sleep(0)
            for task in tasks[::3]:  # one waits, the other's step may be under way
                task.cancel()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            # The connection is as good as before.
            assert (await commits.accept(offer("later"))).outcome is Accepting.ACCEPTED
        for index, answer in enumerate(answers):
            if index % 3:
                assert answer == Accepted(Accepting.ACCEPTED, offers[index].id)
            else:
                assert isinstance(answer, asyncio.CancelledError)

    asyncio.run(check())
    assert {one.id for one in offers if offers.index(one) % 3} <= open_ids(raw)
    assert raw.zcard("eyas:open") == raw.llen("celery")


def test_a_hung_broker_refuses_each_caller_in_time_and_recovers(
    broker: Stack, raw: redis.Redis
) -> None:
    server: Any = raw.info("server")

    async def timed(commits: GroupCommit, after: float) -> tuple[float, Any]:
        await asyncio.sleep(after)
        started = time.monotonic()
        (answer,) = await outcomes(commits, offer())
        return time.monotonic() - started, answer

    async def check() -> None:
        async with committing(broker, step_offers=5) as commits:
            os.kill(server["process_id"], signal.SIGSTOP)
            try:
                answers = await asyncio.gather(*(timed(commits, n / 20) for n in range(40)))
            finally:
                os.kill(server["process_id"], signal.SIGCONT)
            assert all(is_refused(answer) for _, answer in answers)
            assert max(seconds for seconds, _ in answers) < 2
            assert await outcomes(commits, offer("later")) == [
                Accepted(Accepting.ACCEPTED, "later")
            ]

    asyncio.run(check())
    assert "later" in open_ids(raw)


def test_who_comes_when_too_many_wait_is_refused_at_once(broker: Stack, raw: redis.Redis) -> None:
    async def check() -> None:
        async with committing(broker, steps=1, waiting_offers=5, step_offers=5) as commits:
            raw.client_pause(300, all=False)
            started = time.monotonic()
            waiting = [asyncio.create_task(commits.accept(offer())) for _ in range(5)]
            await asyncio.sleep(0.05)
            waiting += [asyncio.create_task(commits.accept(offer())) for _ in range(5)]
            await asyncio.sleep(0)
            with pytest.raises(BrokerUnavailableError, match="does not keep up"):
                await commits.accept(offer())
            assert time.monotonic() - started < 0.25
            answers = await asyncio.gather(*waiting)
        assert [answer.outcome for answer in answers] == [Accepting.ACCEPTED] * 10

    asyncio.run(check())


def test_a_full_broker_refuses_the_whole_step(broker: Stack, raw: redis.Redis) -> None:
    async def check() -> None:
        async with committing(broker) as commits:
            raw.config_set("maxmemory", "1mb")
            try:
                answers = await outcomes(commits, offer(), offer())
            finally:
                raw.config_set("maxmemory", "0")
            assert all(is_refused(answer) and "OOM" in str(answer) for answer in answers)

    asyncio.run(check())
    assert open_ids(raw) == set()


def test_what_fails_otherwise_is_told_to_each_caller(broker: Stack, raw: redis.Redis) -> None:
    async def check() -> None:
        async with committing(broker) as commits:
            raw.delete("celery")
            raw.set("celery", "no list")
            answers = await outcomes(commits, offer(), offer())
            assert all(isinstance(answer, redis.ResponseError) for answer in answers)
            raw.delete("celery")
            (answer,) = await outcomes(commits, offer())
            assert answer.outcome is Accepting.ACCEPTED

    asyncio.run(check())


def test_no_offer_is_acknowledged_that_a_killed_broker_does_not_have(tmp_path: Any) -> None:
    """Kill the server while steps are under way, and compare with what it has after a restart."""
    acknowledged: list[str] = []
    refused: list[str] = []
    is_busy = asyncio.Event()

    async def offer_until_refused(commits: GroupCommit) -> None:
        while True:
            one = offer()
            (answer,) = await outcomes(commits, one)
            if is_refused(answer):
                refused.append(one.id)
                return
            assert answer == Accepted(Accepting.ACCEPTED, one.id)
            acknowledged.append(one.id)
            if len(acknowledged) == 300:
                is_busy.set()

    async def check(stack: Stack, pid: int) -> None:
        async with committing(stack) as commits:
            clients = [asyncio.create_task(offer_until_refused(commits)) for _ in range(32)]
            await is_busy.wait()
            os.kill(pid, signal.SIGKILL)
            await asyncio.gather(*clients)

    with Stack(functions_dir=tmp_path, processes=("broker",)) as stack:
        stack.wait_for(lambda: is_reachable(stack.redis_url), "the broker")
        with redis.Redis.from_url(stack.redis_url) as raw:
            server: Any = raw.info("server")
        asyncio.run(check(stack, server["process_id"]))
        stack.running.pop("broker").wait(10)
        stack.start("broker")
        stack.wait_for(lambda: is_reachable(stack.redis_url), "the broker")
        with redis.Redis.from_url(stack.redis_url) as raw:
            kept = open_ids(raw)
            assert len(refused) == 32
            assert set(acknowledged) <= kept <= {*acknowledged, *refused}
            # Record, message and count are one step, whatever was cut off.
            assert raw.llen("celery") == len(kept) + 1
            assert raw.hget("eyas:counts:fib", "accepted") == str(len(kept) + 1).encode()


def test_a_connection_that_the_broker_has_closed_is_replaced(
    broker: Stack, raw: redis.Redis
) -> None:
    async def check() -> None:
        async with committing(broker) as commits:
            for _ in range(3):
                raw.client_kill_filter(_type="normal", skipme=True)
                async with asyncio.timeout(1):
                    # Refused, if it is sent before our side has heard of the end.
                    while is_refused((await outcomes(commits, offer()))[0]):
                        pass

    asyncio.run(check())
    assert raw.llen("celery") == 4


def test_a_name_and_password_and_another_database_are_used(broker: Stack, raw: redis.Redis) -> None:
    raw.acl_setuser("eyas", enabled=True, passwords=["+secret"], keys=["*"], commands=["+@all"])
    url = broker.redis_url.replace("redis://", "redis://eyas:secret@").rsplit("/", 1)[0] + "/3"

    async def check(url: str) -> Any:
        commits = GroupCommit(url)
        try:
            return (await outcomes(commits, offer()))[0]
        finally:
            await commits.close()

    try:
        assert asyncio.run(check(url)).outcome is Accepting.ACCEPTED
        assert is_refused(asyncio.run(check(url.replace("secret", "wrong"))))
    finally:
        raw.acl_deluser("eyas")
    with redis.Redis.from_url(url.replace("eyas:secret@", "")) as third:
        assert third.llen("celery") == 1
    assert raw.llen("celery") == 0
