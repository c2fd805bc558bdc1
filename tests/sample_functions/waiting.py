"""Handlers that share a process: in an event loop, or in threads."""

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
import time
from pathlib import Path

from runtime import Context, function


def note(marker: str, text: str) -> None:
    """Append a line to a file, in one write; without a file, do nothing."""
    if marker:
        with Path(marker).open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")


@function
async def nap(context: Context, seconds: float, marker: str = "", kind: str = "") -> str:
    """Await, and note the beginning, the end and why it did not come."""
    note(marker, f"begin {kind} {context.invocation_id} {os.getpid()} {context.attempt}")
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        note(marker, f"cancelled {kind} {context.invocation_id}")
        raise
    note(marker, f"end {kind} {context.invocation_id}")
    return context.invocation_id


@function(timeout=1)
async def nap_too_long() -> None:
    """Await far past the timeout."""
    await asyncio.sleep(600)


@function(timeout=1)
async def never_give_up() -> None:
    """Await, whoever says that it should not."""
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            continue


@function
async def cancel_itself(*, awaits: bool = True) -> None:
    """Cancel the task that it runs in."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    if awaits:
        await asyncio.sleep(600)


@function
async def murmur(context: Context, lines: int) -> None:
    """Print lines in pieces, letting others print between them."""
    for number in range(lines):
        print(context.invocation_id, end=" ")
        await asyncio.sleep(0)
        print(number, end=" ")
        await asyncio.sleep(0.001)
        print("said")
    context.log.info("murmur.ended")


@function
async def die_async(context: Context, marker: str, others: int) -> None:
    """Kill its process when so many others run in it, or at once when it is run again."""
    text = Path(marker).read_text
    while context.attempt == 1 and text().count("begin") < others:  # noqa: ASYNC110  other tasks'
        await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)


@function(threads=8)
def doze(context: Context, seconds: float, marker: str = "") -> int:
    """Sleep in a thread, and note beginning and end."""
    note(marker, f"begin {time.monotonic()} {os.getpid()} {threading.get_ident()}")
    time.sleep(seconds)
    note(marker, f"end {time.monotonic()}")
    return context.attempt


@function(threads=8, timeout=1)
def doze_too_long() -> None:
    """Sleep far past the timeout, in a thread."""
    time.sleep(600)


@function(threads=1)
def doze_alone(seconds: float) -> str:
    """Sleep in the only thread."""
    time.sleep(seconds)
    return "dozed"


@function(threads=2)
def raise_in_thread(kind: str) -> None:
    """Raise what a future cannot hold."""
    if kind == "StopIteration":
        raise StopIteration("no more")
    if kind == "SystemExit":
        sys.exit(3)
    raise KeyboardInterrupt("as if")


@function(threads=2)
def fork_in_thread() -> str:
    """Fork a child that returns like its parent."""
    pid = os.fork()
    if pid == 0:
        return "child"
    os.waitpid(pid, 0)
    return "parent"


@function
def compute_apart(numbers: list[int], method: str) -> list[int]:
    """Compute in processes of its own."""
    with multiprocessing.get_context(method).Pool(2) as pool:
        return pool.map(abs, numbers)


@function
def leave_a_child(seconds: float, marker: str) -> str:
    """Leave a child behind that holds what this process has open, and kill this process."""
    pid = os.fork()
    if pid == 0:
        time.sleep(seconds)
        os._exit(0)
    note(marker, str(pid))
    if Path(marker).read_text().count("\n") == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return "again"


@function
def tick(context: Context, marker: str = "", seconds: float = 0.0) -> int:
    """Be quick, and note that it was run to the end."""
    if seconds:
        time.sleep(seconds)
    note(marker, f"{context.invocation_id} {os.getpid()}")
    return context.attempt
