import asyncio
from typing import Any

import pytest

from runtime import Context, function
from runtime.attempt import AttemptRunner
from runtime.errors import InvalidPayloadError, InvalidResultError
from runtime.outcome import FunctionError
from runtime.testing import invoke


def test_the_context_is_told_and_counts_down() -> None:
    @function(timeout=20)
    def look(context: Context) -> list[Any]:
        return [
            context.invocation_id,
            context.aws_request_id,
            context.attempt,
            context.remaining_seconds(),
            context.get_remaining_time_in_millis(),
        ]

    own, aws, attempt, seconds, milliseconds = invoke(look, attempt=2, invocation_id="i-1")

    assert (own, aws, attempt) == ("i-1", "i-1", 2)
    assert 19 < seconds <= 20
    assert 19_000 < milliseconds <= 20_000


def test_the_time_that_remains_is_never_negative() -> None:
    context = Context(
        invocation_id="i", function_name="f", attempt=1, timeout_seconds=1, started_monotonic=-1e9
    )

    assert context.remaining_seconds() == 0
    assert context.get_remaining_time_in_millis() == 0


def test_async_handlers_are_awaited_on_one_loop() -> None:
    loops = []

    @function
    async def look() -> int:
        loops.append(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return 1

    context = Context(invocation_id="i", function_name="f", attempt=1, timeout_seconds=1)
    with AttemptRunner() as runner:
        assert [runner.run(look, b"{}", context) for _ in range(2)] == [b"1", b"1"]

    assert loops[0] is loops[1]
    assert loops[0].is_closed()


def test_a_handler_is_not_called_with_a_payload_that_does_not_fit() -> None:
    called = []

    @function
    def handler(number: int) -> None:
        called.append(number)

    with pytest.raises(InvalidPayloadError):
        invoke(handler, {"number": "x"})
    assert called == []


def test_results_are_what_a_caller_would_receive() -> None:
    @function
    def pair() -> tuple[int, set[str]]:
        return 1, {"a"}

    assert invoke(pair) == [1, ["a"]]


def test_a_result_that_is_not_json_is_refused() -> None:
    @function
    def handler() -> Any:
        return object()

    with pytest.raises(InvalidResultError, match="function 'handler' returned what JSON cannot"):
        invoke(handler)


def test_errors_show_the_users_frames_only() -> None:
    @function
    def outer() -> None:
        inner()

    def inner() -> None:
        raise KeyError("missing")

    try:
        invoke(outer)
    except KeyError as error:
        described = FunctionError.from_exception(error)

    assert (described.type, described.message) == ("KeyError", "'missing'")
    own = [frame for frame in described.stack_trace if "test_attempt.py" in frame]
    assert "in outer" in own[-2]
    assert "in inner" in own[-1]


def test_an_exception_that_cannot_be_printed_is_still_described() -> None:
    class HostileError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    described = FunctionError.from_exception(HostileError())

    assert described.type == "HostileError"
    assert "failed" in described.message
