"""What generator handlers yield: as a whole, and in parts while they run."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import SoftTimeoutError, function
from runtime.attempt import AttemptRunner
from runtime.chunks import Chunks, Part, gather
from runtime.errors import InvalidResultError
from runtime.testing import invoke


@given(values=st.lists(st.none() | st.text() | st.integers() | st.lists(st.text())), data=st.data())
def test_parts_taken_at_any_time_are_together_the_result(values: list[Any], data: Any) -> None:
    chunks = Chunks(function="f")
    parts = []
    for value in values:
        chunks.add(value)
        if data.draw(st.booleans()):
            parts.append(chunks.take())
    parts.append(chunks.take())

    assert json.loads(chunks.result) == values
    found = [part for part in parts if part is not None]
    assert [value for part in found for value in json.loads(part.chunks)] == values
    assert [part.number for part in found] == list(range(len(found)))
    assert chunks.take() is None


def test_whoever_takes_is_told_of_each_chunk() -> None:
    parts: list[Part | None] = []
    chunks = Chunks(function="f", tell=lambda: parts.append(chunks.take()))

    gather((value for value in ("a", "b")), chunks)

    assert parts == [(0, b'["a"]'), (1, b'["b"]')]


def test_the_result_of_a_generator_is_the_list_of_what_it_yields() -> None:
    @function
    def count(number: int) -> Iterator[int]:
        yield from range(number)

    @function
    async def count_later(number: int) -> AsyncIterator[int]:
        for one in range(number):
            await asyncio.sleep(0)
            yield one

    assert [invoke(one, {"number": 3}) for one in (count, count_later)] == [[0, 1, 2]] * 2
    assert [invoke(one, {"number": 0}) for one in (count, count_later)] == [[], []]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_chunk_that_is_not_json_ends_the_handler(*, is_async: bool) -> None:
    ended = []

    @function
    def plain() -> Iterator[Any]:
        try:
            yield 1
            yield object()
        finally:
            ended.append("plain")

    @function
    async def later() -> AsyncIterator[Any]:
        try:
            yield object()
        finally:
            ended.append("later")

    chosen = later if is_async else plain
    with pytest.raises(InvalidResultError, match=f"{chosen.name!r} yielded what JSON cannot hold"):
        invoke(chosen)
    assert ended == [chosen.name]


def test_a_generator_without_an_end_is_stopped_at_the_largest_result() -> None:
    def endless() -> Iterator[str]:
        while True:
            yield "x" * 10

    chunks = Chunks(function="f", most_bytes=40)
    with pytest.raises(InvalidResultError, match=r"the result has 53 bytes; the limit is 40 "):
        gather(endless(), chunks)
    assert json.loads(chunks.result) == ["x" * 10] * 3


def test_the_largest_result_may_be_yielded_and_nothing_larger() -> None:
    chunks = Chunks(function="f", most_bytes=len(b"[10,20]"))
    chunks.add(10)
    chunks.add(20)
    assert chunks.result == b"[10,20]"

    smaller = Chunks(function="f", most_bytes=len(b"[10,20]") - 1)
    smaller.add(10)
    with pytest.raises(InvalidResultError):
        smaller.add(20)


def test_a_soft_timeout_that_rings_while_a_chunk_is_taken_is_raised_at_the_yield() -> None:
    told = []

    def tell() -> None:
        told.append(1)
        if len(told) == 2:
            signal.raise_signal(signal.SIGALRM)

    @function(soft_timeout=100, timeout=200)
    def patient() -> Iterator[str]:
        try:
            yield "one"
            yield "two"
            yield "three"
        except SoftTimeoutError:
            yield "put in order"

    with AttemptRunner() as runner:
        result = runner.run(patient, b"{}", None, chunks=Chunks(function="f", tell=tell))

    assert json.loads(result) == ["one", "two", "put in order"]


def test_a_soft_timeout_in_a_generator_ends_it() -> None:
    @function(soft_timeout=0.05, timeout=60)
    def plain() -> Iterator[int]:
        yield 1
        time.sleep(60)

    @function(soft_timeout=0.05, timeout=60)
    async def later() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(60)

    for one in (plain, later):
        with pytest.raises(SoftTimeoutError, match=r"0\.05 seconds has passed"):
            invoke(one)
