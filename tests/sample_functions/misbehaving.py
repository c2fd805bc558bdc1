"""Handlers that fail, hang, die, print, and return what they should not."""

import asyncio
import ctypes
import logging
import math
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import celery.exceptions

from runtime import Context, function


class OrderError(Exception):
    """Raised with more arguments than a plain exception: hard to pickle."""

    def __init__(self, order: int, *, reason: str) -> None:
        super().__init__(f"order {order}: {reason}")
        self.order = order


@function
def fail(message: str = "no reason") -> None:
    """Raise an exception from a nested call."""
    _raise(message)


def _raise(message: str) -> None:
    raise OrderError(7, reason=message)


@function
def leave(code: int = 3) -> None:
    """Call sys.exit, as a script would."""
    sys.exit(code)


@function(timeout=1)
def hang_in_python() -> None:
    """Never return."""
    while True:
        pass


@function(timeout=1)
def hang_in_sleep() -> None:
    """Sleep far past the timeout."""
    time.sleep(600)


@function(timeout=1)
def hang_in_c() -> None:
    """Hold the interpreter in a C call."""
    ctypes.PyDLL(None).sleep(600)


@function
def sleep(seconds: float, marker: str = "") -> str:
    """Say in a file that it started, then sleep."""
    if marker:
        with Path(marker).open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")
    time.sleep(seconds)
    return "slept"


@function
def die(context: Context, until_attempt: int = 99) -> int:
    """Kill its own process until it is run for the given time."""
    if context.attempt < until_attempt:
        os.kill(os.getpid(), signal.SIGKILL)
    return context.attempt


@function
def not_a_number() -> float:
    """Return what JSON has no word for."""
    return math.nan


@function
def unserializable() -> Any:
    """Return an object of no known type."""
    return object()


@function
def large(bytes_: int) -> str:
    """Return a long string."""
    return "x" * bytes_


@function
def talk(context: Context) -> None:
    """Write lines in every way a handler can."""
    print("printed", "words")
    print("to stderr", file=sys.stderr)
    logging.getLogger("a.package").warning("a library warns of %s", "rain")
    context.log.info("talk.said", words=3)


@function
def secret(password: str) -> str:
    """Take and return something that no log may hold."""
    return password[::-1]


@function
def need_memory() -> None:
    """Ask for more memory than there is."""
    bytearray(10**15)


@function
def signal_to_celery(kind: str) -> None:
    """Raise what means something else to Celery than a failure."""
    raise getattr(celery.exceptions, kind)("from a handler")


@function
def fork() -> str:
    """Fork a child that returns like its parent."""
    pid = os.fork()
    if pid == 0:
        return "child"
    os.waitpid(pid, 0)
    return "parent"


@function
def raise_text(text: str, times: int = 1) -> None:
    """Raise an exception with a given message."""
    raise ValueError(text.encode().decode("unicode_escape") * times)


@function
def dots(count: int) -> int:
    """Print without ever ending the line."""
    for _ in range(count):
        print(".", end="")
    return count


@function
def nested(event: Any) -> Any:
    """Return the payload."""
    return event


@function
async def wait_async(seconds: float) -> str:
    """Await."""
    await asyncio.sleep(seconds)
    return "awaited"
