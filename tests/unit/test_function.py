from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

import pytest
from msgspec import Struct

from runtime import function
from runtime.errors import DefinitionError
from runtime.policy import RetryPolicy


class Point(Struct):
    x: int


def test_a_function_is_called_like_its_handler() -> None:
    @function
    def add(a: int, b: int = 2) -> int:
        """Add."""
        return a + b

    assert add(1) == 3
    assert (add.name, add.description, add.timeout_seconds) == ("add", "Add.", 300)


def test_options_are_taken_by_name() -> None:
    @function(name="add-up", timeout=1.5)
    async def add() -> None: ...

    assert (add.name, add.timeout_seconds, add.is_async) == ("add-up", 1.5, True)


@pytest.mark.parametrize(
    "name", ["", "1a", "a b", "a/b", "é", "x" * 65, "_a", ".a", "eyas.a", "celery.group"]
)
def test_names_that_no_route_could_have_are_refused(name: str) -> None:
    with pytest.raises(DefinitionError, match="cannot be a function's name"):

        @function(name=name)
        def handler() -> None: ...


def test_a_function_is_tried_once_and_by_any_number_at_a_time_unless_it_says_so() -> None:
    @function
    def handler() -> None: ...

    assert handler.retry_policy == RetryPolicy(
        retries=0,
        backoff_seconds=1,
        backoff_max_seconds=600,
        retry_on=(Exception,),
        max_age_seconds=None,
    )
    assert (handler.soft_timeout_seconds, handler.concurrency) == (None, None)


def test_every_option_reaches_the_function() -> None:
    @function(
        timeout=9,
        soft_timeout=8.5,
        retries=3,
        backoff=0,
        backoff_max=0.5,
        retry_on=(OSError, ValueError),
        max_age=3600,
        concurrency=2,
    )
    def handler() -> None: ...

    assert handler.retry_policy == RetryPolicy(
        retries=3,
        backoff_seconds=0,
        backoff_max_seconds=0.5,
        retry_on=(OSError, ValueError),
        max_age_seconds=3600,
    )
    assert (handler.timeout_seconds, handler.soft_timeout_seconds) == (9, 8.5)
    assert handler.concurrency == 2


def test_one_exception_class_is_a_tuple_of_it() -> None:
    @function(retries=1, retry_on=TimeoutError)
    def handler() -> None: ...

    assert handler.retry_policy.retry_on == (TimeoutError,)


NO_SECONDS_ABOVE_0 = [0, -1, 0.0, float("inf"), float("nan"), "9", True, [1]]
NO_SECONDS_FROM_0 = [-1, -0.001, float("inf"), float("nan"), "9", None, True]
NO_WHOLE_NUMBER = [-1, 1.0, "1", True, float("nan")]


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        *(("timeout", value, "seconds above 0") for value in [*NO_SECONDS_ABOVE_0, None]),
        *(("soft_timeout", value, "seconds above 0") for value in NO_SECONDS_ABOVE_0),
        *(("max_age", value, "seconds above 0") for value in NO_SECONDS_ABOVE_0),
        *(("backoff", value, "seconds from 0") for value in NO_SECONDS_FROM_0),
        *(("backoff_max", value, "seconds from 0") for value in NO_SECONDS_FROM_0),
        *(("retries", value, "a whole number from 0") for value in [*NO_WHOLE_NUMBER, None]),
        *(("concurrency", value, "a whole number from 1") for value in [*NO_WHOLE_NUMBER, 0]),
        *(
            ("retry_on", value, "an exception class, or a tuple of such")
            for value in (3, None, "ValueError", ValueError(), int, [ValueError], (ValueError, 3))
        ),
        ("soft_timeout", 300, "less than timeout=300"),
        ("soft_timeout", 301, "less than timeout=300"),
    ],
)
def test_an_option_that_cannot_work_is_named(option: str, value: Any, expected: str) -> None:
    with pytest.raises(DefinitionError) as refused:

        @function(**{option: value})
        def handler() -> None: ...

    message = str(refused.value)
    assert message.startswith("function 'handler': ")
    assert f"{option}={value!r}, expected {expected}" in message


def test_all_wrong_options_are_named_at_once() -> None:
    with pytest.raises(DefinitionError) as refused:

        @function(timeout=0, retries=-1, backoff=-2, concurrency=0)
        def handler() -> None: ...

    named = str(refused.value)
    assert all(one in named for one in ("timeout=0", "retries=-1", "backoff=-2", "concurrency=0"))


def test_a_soft_timeout_comes_before_the_timeout() -> None:
    with pytest.raises(DefinitionError, match="soft_timeout=5, expected less than timeout=5"):

        @function(timeout=5, soft_timeout=5)
        def refused() -> None: ...

    @function(timeout=5, soft_timeout=4.999)
    def handler() -> None: ...

    assert handler.soft_timeout_seconds == 4.999


def test_an_option_that_does_not_exist_is_refused() -> None:
    with pytest.raises(TypeError, match="retry"):
        function(retry=1)  # type: ignore[call-overload]


def test_the_result_of_a_generator_is_a_list_of_what_it_yields() -> None:
    @function
    def counts() -> Iterator[int]:
        yield 1

    @function
    def texts() -> Generator[str, None, int]:
        yield "a"
        return 1

    @function
    async def later() -> AsyncIterator[Point]:
        yield Point(x=1)

    @function
    def untold():  # type: ignore[no-untyped-def]  # noqa: ANN202
        yield 1

    @function
    def plain() -> list[int]:
        return [1]

    assert [one.yields for one in (counts, texts, later, untold, plain)] == [True] * 4 + [False]
    assert [one.is_async for one in (counts, texts, later, untold)] == [False, False, True, False]
    assert counts.result_schema == {"type": "array", "items": {"type": "integer"}}
    assert texts.result_schema == {"type": "array", "items": {"type": "string"}}
    assert later.result_schema["items"] == {"$ref": "#/$defs/Point"}
    assert later.result_schema["$defs"]["Point"]["required"] == ["x"]
    assert untold.result_schema == {"type": "array"}
    # Called in a plain test, it is what it was.
    assert list(counts()) == [1]


def test_an_asynchronous_generator_needs_no_threads() -> None:
    with pytest.raises(DefinitionError, match="threads= is for blocking handlers"):

        @function(threads=2)
        async def handler() -> AsyncIterator[int]:
            yield 1


def test_what_cannot_be_called_is_no_handler() -> None:
    with pytest.raises(DefinitionError, match="takes a callable"):
        function(3)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        ((), ()),
        ("com.example.created", ("com.example.created",)),
        ("com.example.*", ("com.example.*",)),
        ("*", ("*",)),
        (("a", "b.*", "a"), ("a", "b.*")),
    ],
)
def test_a_function_is_subscribed_to_types_of_events(on: Any, expected: Any) -> None:
    @function(on=on)
    def handler(event: Any) -> None: ...

    assert handler.on == handler.to_json()["on"] == expected
    assert ("event" in handler.to_json()["triggers"]) is bool(expected)


@pytest.mark.parametrize(
    "on", ["", ("a", ""), ["a"], 3, None, "a.*.b", "**", "*.created", (("a",),)]
)
def test_what_is_no_type_of_events_is_named(on: Any) -> None:
    with pytest.raises(DefinitionError, match=r"^function 'handler': on=.*, expected the type"):

        @function(on=on)
        def handler(event: Any) -> None: ...


@pytest.mark.parametrize(
    ("on", "event_type", "expected"),
    [
        ((), "a", False),
        ("a", "a", True),
        ("a", "A", False),
        ("a", "ab", False),
        ("a*", "ab", True),
        ("a*", "a", True),
        ("a.*", "a", False),
        ("*", "anything", True),
        (("x", "a.*"), "a.b.c", True),
    ],
)
def test_a_star_ends_the_beginning_of_types(on: Any, event_type: str, expected: bool) -> None:
    @function(on=on)
    def handler(event: Any) -> None: ...

    assert handler.is_subscribed_to(event_type) is expected


def test_a_function_runs_by_itself_when_it_says_so() -> None:
    @function(schedule="0 * * * *", timezone="Asia/Tokyo", missed="skip", schedule_payload=[1])
    def handler(event: list[int]) -> None: ...

    assert handler.schedule is not None
    assert handler.schedule.payload == b"[1]"
    shown = handler.to_json()
    assert shown["triggers"] == ("http", "celery", "schedule")
    assert (shown["schedule"], shown["every"]) == ("0 * * * *", None)
    assert (shown["timezone"], shown["missed"]) == ("Asia/Tokyo", "skip")

    @function(every=1.5)
    def other(number: int = 3) -> None: ...

    assert other.schedule is not None
    assert other.schedule.payload == b"{}"
    shown = other.to_json()
    assert (shown["schedule"], shown["every"], shown["timezone"]) == (None, 1.5, None)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"schedule": "0 * * *"}, "schedule='0 * * *', expected five fields"),
        ({"schedule": "@daily", "timezone": "Mars"}, "timezone='Mars', expected a name"),
        ({"every": 0.2}, "every=0.2, expected seconds from 1"),
        ({"every": 30}, "/number: required, but missing. Give its parameters defaults, or give"),
        ({"every": 30, "schedule_payload": {"number": "1"}}, "Expected `int`, got `str`"),
        ({"every": 30, "schedule_payload": {"number": object()}}, "schedule_payload=: "),
        ({"schedule_payload": {"number": 1}}, "are for schedule= or every="),
        ({"missed": "skip"}, "are for schedule= or every="),
        ({"missed": "never"}, "missed='never', expected 'latest' or 'skip'"),
    ],
)
def test_a_schedule_that_cannot_work_is_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(DefinitionError) as refused:

        @function(**options)
        def handler(number: int) -> None: ...

    message = str(refused.value)
    assert message.startswith("function 'handler'")
    assert reason in message
