"""What a module of a peer defines."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

PORT = int(os.environ.get("BENCH_BROKER_PORT", "0"))
URL = f"redis://127.0.0.1:{PORT}/0"
RESULT_SECONDS = 86400


async def nothing() -> None:
    """Open nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """How to use one library: `enqueue` returns an id, `result` what became of it.

    `enqueue` is a coroutine function if the library is asynchronous; `open_` connects it.
    """

    enqueue: Callable[[int], Any]
    result: Callable[[str], Any]
    is_async: bool = False
    open_: Callable[[], Awaitable[None]] = nothing


def fib(number: int) -> list[int]:
    """Return the Fibonacci numbers from index 0 up to `number`.

    This is the work that is measured, so it costs what the stack's own handler does;
    `loadtests.contract` computes what results are checked against in another way.
    """
    numbers = []
    current, following = 0, 1
    for _ in range(number + 1):
        numbers.append(current)
        current, following = following, current + following
    return numbers
