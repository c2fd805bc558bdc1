"""Who waits for an invocation misses nothing, whichever comes first: record or subscription."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import redis

from runtime.invocation import Invocation, Status, new_id
from runtime.message import encode
from runtime.store import GroupCommit, Watcher, keys, lifecycle, records
from runtime.store.accepting import Offer
from runtime.store.channels import Hears
from runtime.testing import Stack
from tests import tickets
from tests.store_bench import QUEUE, RETENTION, Bench, an_invocation

PATIENCE_SECONDS = 5.0


@contextlib.asynccontextmanager
async def watching(stack: Stack) -> AsyncIterator[tuple[Watcher, GroupCommit]]:
    watcher, commits = Watcher(stack.redis_url), GroupCommit(stack.redis_url)
    watcher.start()
    try:
        with watcher.watch("first") as first:  # it is connected when this is answered
            first.read_first()
            await within(first.changed.wait())
        yield watcher, commits
    finally:
        await watcher.close()
        await commits.close()


async def within(waiting: Any) -> Any:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await waiting


def offer(name: str) -> Offer:
    invocation = Invocation(
        id=name, function="fib", payload=b"{}", trigger="http", timeout_seconds=30
    )
    return Offer.of([(invocation, encode(invocation, None))], asks_whether_heard=True)


def test_the_script_says_whether_the_subscription_was_there_first(
    broker: Stack, raw: redis.Redis
) -> None:
    async def check() -> None:
        async with watching(broker) as (watcher, commits):
            assert not (await commits.accept(offer("nobody"))).is_heard
            with watcher.watch("somebody") as watch:
                channel = keys.invocation("somebody")
                broker.wait_for(
                    lambda: raw.pubsub_numsub(channel) == [(channel.encode(), 1)], "the channel"
                )
                assert (await commits.accept(offer("somebody"))).is_heard
                # The subscription alone is no reason to read.
                assert not watch.changed.is_set()
                raw.publish(keys.invocation("somebody"), "running")
                raw.publish(keys.invocation("somebody"), "succeeded")
                await within(watch.changed.wait())

    asyncio.run(check())


def test_who_came_late_reads_once_the_subscription_is_in_force(
    broker: Stack, raw: redis.Redis
) -> None:
    async def check() -> None:
        async with watching(broker) as (watcher, _):
            raw.client_pause(200, all=True)
            with watcher.watch("late") as watch:
                watch.read_first()
                assert not watch.changed.is_set()
                await within(watch.changed.wait())

    asyncio.run(check())


def test_nobody_is_woken_by_more_than_is_waited_for(broker: Stack, raw: redis.Redis) -> None:
    async def check() -> None:
        async with watching(broker) as (watcher, _):
            channel = keys.invocation("one")
            with contextlib.ExitStack() as watches:
                ends, statuses, chunks = (
                    watches.enter_context(watcher.watch("one", hears=hears)) for hears in Hears
                )
                chunks.read_first()
                await within(chunks.changed.wait())
                for news, woken in (
                    ("yielded", [chunks]),
                    ("running", [chunks, statuses]),
                    ("failed", [chunks, statuses, ends]),
                ):
                    chunks.changed.clear()
                    raw.publish(channel, news)
                    await within(chunks.changed.wait())
                    assert [w for w in (chunks, statuses, ends) if w.changed.is_set()] == woken
                    statuses.changed.clear()

    asyncio.run(check())


def test_a_lost_connection_makes_everybody_read_again(broker: Stack, raw: redis.Redis) -> None:
    async def check() -> None:
        async with watching(broker) as (watcher, commits):
            names = [new_id() for _ in range(3)]
            with contextlib.ExitStack() as stack:
                watches = [stack.enter_context(watcher.watch(n)) for n in names]
                for name in names:
                    await commits.accept(offer(name))
                raw.client_kill_filter(_type="pubsub")
                for watch in watches:
                    await within(watch.changed.wait())

    asyncio.run(check())


def test_a_channel_that_is_left_and_entered_again_is_heard(broker: Stack, raw: redis.Redis) -> None:
    async def check() -> None:
        async with watching(broker) as (watcher, _):
            for _ in range(20):
                with watcher.watch("again"):
                    pass
                with watcher.watch("again") as watch:
                    watch.read_first()
                    await within(watch.changed.wait())
                    watch.changed.clear()
                    raw.publish(keys.invocation("again"), "failed")
                    await within(watch.changed.wait())

    asyncio.run(check())


def test_the_news_of_an_end_bring_the_record_along(broker: Stack, bench: Bench) -> None:
    payload = '{"text":"Grüße, \U0001f980"}'.encode()

    async def check() -> None:
        invocation = an_invocation("told", payload=payload)
        bench.run(lifecycle.accept(invocation, tickets.ours(invocation)))
        ticket = tickets.claim_one(bench)
        async with watching(broker) as (watcher, _):
            with watcher.watch("told") as watch:
                watch.read_first()
                await within(watch.changed.wait())
                watch.changed.clear()
                tickets.finish(bench, tickets.end(ticket, result=b"[1]"))
                await within(watch.changed.wait())
                assert watch.record == bench.run(records.read("told", retention=RETENTION))
                assert watch.record is not None
                assert (watch.record.payload, watch.record.result) == (payload, b"[1]")

    asyncio.run(check())


def test_news_that_cannot_be_read_are_a_reason_to_read(broker: Stack, raw: redis.Redis) -> None:
    async def check() -> None:
        async with watching(broker) as (watcher, _):
            with watcher.watch("odd") as watch:
                watch.read_first()
                await within(watch.changed.wait())
                for news in (b"succeeded not-packed", b"\xff", b"succeeded \x92\xa1a\xa1\xff"):
                    watch.changed.clear()
                    raw.publish(keys.invocation("odd"), news)
                    await within(watch.changed.wait())
                    assert watch.record is None

    asyncio.run(check())


def test_what_is_no_invocation_is_told_as_a_failure(broker: Stack, bench: Bench) -> None:
    async def check() -> None:
        async with watching(broker) as (watcher, _):
            with watcher.listen([Status.FAILED]) as listener:
                await within(listener.changed.wait())
                assert listener.is_listening
                listener.changed.clear()
                bench.raw.lpush(QUEUE, b"nonsense")
                assert bench.quarantine(bench.claim_one(), "bad-1")
                await within(listener.changed.wait())
                (change,) = listener.take(100)
                assert (change.id, change.status) == ("bad-1", Status.FAILED)
                assert change.error == {"type": "ValueError", "message": "no"}
                assert not listener.has_missed

    asyncio.run(check())
