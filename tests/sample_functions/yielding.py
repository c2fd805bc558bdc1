"""Handlers that yield."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from runtime import Context, function


def until(marker: str) -> None:
    """Return when a file is there."""
    while not Path(marker).exists():
        time.sleep(0.01)


def steps(marker: str) -> Iterator[Any]:
    """Yield a text, and the rest when a file is there."""
    yield "first: ä"
    until(marker)
    yield {"second": [2, None]}
    yield ""
    yield 3.5


@function
def yield_alone(marker: str) -> Iterator[Any]:
    """Yield in a process."""
    yield from steps(marker)


@function(threads=4)
def yield_in_thread(marker: str) -> Iterator[Any]:
    """Yield in a thread."""
    yield from steps(marker)


@function
async def yield_async(marker: str) -> AsyncIterator[Any]:
    """Yield in an event loop."""
    is_there = Path(marker).exists
    for one in steps(marker):
        yield one
        while not is_there():  # noqa: ASYNC110  nobody could set an event
            await asyncio.sleep(0.01)


@function
def yield_numbers(count: int) -> Iterator[int]:
    """Yield many."""
    yield from range(count)


@function
def yield_text(characters: int) -> Iterator[str]:
    """Yield one large chunk."""
    yield "ä" * characters


@function
def yield_without_end() -> Iterator[str]:
    """Yield more than a result may have."""
    while True:
        yield "x" * 10_000


def fail() -> Iterator[int]:
    """Yield, and raise."""
    yield 1
    yield 2
    raise ValueError("no more")


@function
def yield_and_fail() -> Iterator[int]:
    """Fail in a process."""
    yield from fail()


@function(threads=2)
def yield_and_fail_in_thread() -> Iterator[int]:
    """Fail in a thread."""
    yield from fail()


@function
async def yield_and_fail_async() -> AsyncIterator[int]:
    """Fail in an event loop."""
    for one in fail():
        yield one


@function
def yield_what_is_not_json() -> Iterator[Any]:
    """Yield what JSON cannot hold."""
    yield 1
    yield object()


@function(timeout=1)
def yield_and_hang() -> Iterator[int]:
    """Yield, and take too long."""
    yield 1
    time.sleep(600)


@function(timeout=1)
async def yield_and_hang_async() -> AsyncIterator[int]:
    """Yield, and wait for too long."""
    yield 1
    await asyncio.sleep(600)


@function
def yield_and_die(context: Context, marker: str, *, before: bool = False) -> Iterator[int]:
    """Kill its process in the first attempt, when a file is there, before or after a chunk."""
    if context.attempt == 1 and before:
        until(marker)
        os.kill(os.getpid(), signal.SIGKILL)
    yield context.attempt
    until(marker)
    if context.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    yield 0


@function(retries=1, backoff=0)
def yield_and_try_again(context: Context) -> Iterator[int]:
    """Fail at first."""
    yield context.attempt
    if context.attempt == 1:
        raise ValueError("not yet")
