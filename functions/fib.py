"""The Fibonacci workload: what load tests and the examples run."""

import time
from typing import Annotated

from msgspec import Meta

from runtime import function

Seconds = Annotated[float, Meta(ge=0, le=300)]


@function(timeout=60, retries=2)
def fib(number: int, *, delay_seconds: Seconds = 0, last_only: bool = False) -> list[int]:
    """Return the Fibonacci numbers from index 0 up to index `number`.

    Exact for numbers of any size; a negative `number` gives an empty list. `delay_seconds` makes
    the function slow without making it busy. `last_only` returns the last number alone.
    """
    if delay_seconds:
        time.sleep(delay_seconds)
    numbers = []
    current, following = 0, 1
    for _ in range(number + 1):
        if not last_only:
            numbers.append(current)
        last = current
        current, following = following, current + following
    return [last] if last_only and number >= 0 else numbers
