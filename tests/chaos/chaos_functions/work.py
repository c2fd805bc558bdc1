"""Handlers of different lengths, each of which notes that it starts and how it ends."""

import contextlib
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from runtime import Context, function

from ._noting import ENDED, RAISED, STARTED, note

_SUCCEEDS_ON_ATTEMPT = 3


@contextlib.contextmanager
def _noted(context: Context) -> Iterator[None]:
    this = partial(note, invocation_id=context.invocation_id, attempt=context.attempt)
    this(STARTED)
    try:
        yield
    except BaseException:
        this(RAISED)
        raise
    this(ENDED)


def _result(number: int, context: Context) -> dict[str, Any]:
    return {"id": context.invocation_id, "next": number + 1}


@function(timeout=30)
def fast(number: int, context: Context) -> dict[str, Any]:
    """Return at once."""
    with _noted(context):
        return _result(number, context)


@function(timeout=30)
def short(number: int, context: Context) -> dict[str, Any]:
    """Take 0.3 seconds."""
    with _noted(context):
        time.sleep(0.3)
        return _result(number, context)


@function(timeout=30)
def long(number: int, context: Context) -> dict[str, Any]:
    """Take 2 seconds."""
    with _noted(context):
        time.sleep(2)
        return _result(number, context)


@function(timeout=30, retries=3, backoff=0.2)
def flaky(number: int, context: Context) -> dict[str, Any]:
    """Raise on the first two attempts."""
    with _noted(context):
        if context.attempt < _SUCCEEDS_ON_ATTEMPT:
            raise ConnectionError(f"attempt {context.attempt} of {number}")
        return _result(number, context)
