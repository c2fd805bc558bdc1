"""Handlers with policies: retried, limited, warned before they are stopped."""

import asyncio
import os
import time
from pathlib import Path

from runtime import Context, PermanentError, Retry, SoftTimeoutError, function


class SoldOutError(PermanentError):
    """Nothing is left, and nothing will come."""


def note(marker: str) -> None:
    """Append this process and the time to a file, in one write."""
    with Path(marker).open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()} {time.time()}\n")


@function(retries=3, backoff=0.05)
def flaky(context: Context, until_attempt: int, marker: str = "") -> int:
    """Raise until it is run for the given time."""
    if marker:
        note(marker)
    if context.attempt < until_attempt:
        raise ConnectionError(f"attempt {context.attempt} fails")
    return context.attempt


@function(retries=3, backoff=30)
def patient(context: Context) -> int:
    """Fail once, and wait long for the second attempt."""
    if context.attempt == 1:
        raise ConnectionError("not yet")
    return context.attempt


@function(retries=3, backoff=0.05)
def sold_out() -> None:
    """Raise what is not worth trying again."""
    raise SoldOutError("sold out")


@function(retries=3, backoff=0.05, retry_on=(ConnectionError, TimeoutError))
def picky(kind: str) -> None:
    """Raise something that is, or is not, worth trying again."""
    raise ConnectionError("gone") if kind == "connection" else ValueError("wrong")


@function(retries=1, backoff=600)
def ask(context: Context, after: float) -> int:
    """Ask to be run again after a time of its own choice."""
    if context.attempt == 1:
        raise Retry("later", after=after)
    return context.attempt


@function(max_age=1)
def perishable() -> str:
    """Be of no use when it is old."""
    return "fresh"


@function(retries=5, backoff=600, max_age=60)
def impatient() -> None:
    """Fail, with a pause before the next attempt that is longer than its life."""
    raise Retry("later", after=100)


@function(timeout=1, retries=1, backoff=0.05)
def hang_once(context: Context) -> int:
    """Hang in the first attempt."""
    if context.attempt == 1:
        time.sleep(600)
    return context.attempt


@function(concurrency=2)
def limited(seconds: float, marker: str) -> None:
    """Note when it starts and ends."""
    note(marker + ".start")
    time.sleep(seconds)
    note(marker + ".end")


@function(timeout=20, soft_timeout=0.3)
def tidy(*, catch: bool = True) -> str:
    """Put things in order when time is nearly up."""
    try:
        time.sleep(600)
    except SoftTimeoutError:
        if not catch:
            raise
        return "tidied"
    return "slept"


@function(timeout=20, soft_timeout=0.3)
async def tidy_async(marker: str) -> str:
    """Be cancelled when time is nearly up."""
    try:
        await asyncio.sleep(600)
    finally:
        note(marker)
    return "slept"


@function(timeout=1)
async def hang_async() -> None:
    """Block the event loop itself."""
    time.sleep(600)  # noqa: ASYNC251  on purpose


@function
def count_up(context: Context, total: int, marker: str) -> int:
    """Report progress, and wait for a file before the end."""
    for done in range(total):
        context.progress(done, total, f"step {done}")
    while not Path(marker).exists():
        time.sleep(0.01)
    context.progress(total, total, "done")
    return total


@function(retries=3, backoff=600)
def fail_after(seconds: float, marker: str) -> None:
    """Note that it started, and fail after some time."""
    note(marker)
    time.sleep(seconds)
    raise ConnectionError("not yet")


@function
def look_at_the_clock(context: Context) -> list[float]:
    """Return how much time is left, twice."""
    first = context.remaining_seconds()
    time.sleep(0.2)
    return [first, context.remaining_seconds()]
