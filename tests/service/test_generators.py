"""Handlers that yield, invoked like any others: their result is a list."""

from pathlib import Path
from typing import Any

import celery
import pytest

from runtime.testing import FunctionFailedError, Stack
from tests.asking import accept, record


@pytest.fixture
def producer(sample_stack: Stack) -> celery.Celery:
    return celery.Celery(broker=sample_stack.redis_url, backend=sample_stack.redis_url)


@pytest.mark.parametrize("name", ["yield_alone", "yield_in_thread", "yield_async"])
def test_the_result_is_the_list_of_what_was_yielded(
    sample_stack: Stack, tmp_path: Path, name: str
) -> None:
    marker = tmp_path / "go on"
    marker.touch()

    found = sample_stack.invoke(name, {"marker": str(marker)})

    assert found == ["first: ä", {"second": [2, None]}, "", 3.5]


@pytest.mark.parametrize(
    ("name", "error_type"),
    [
        ("yield_and_fail", "ValueError"),
        ("yield_and_fail_in_thread", "ValueError"),
        ("yield_and_fail_async", "ValueError"),
        ("yield_what_is_not_json", "InvalidResult"),
        ("yield_without_end", "InvalidResult"),
        ("yield_and_hang", "Timeout"),
        ("yield_and_hang_async", "Timeout"),
    ],
)
def test_errors_are_those_of_any_handler(sample_stack: Stack, name: str, error_type: str) -> None:
    with pytest.raises(FunctionFailedError) as caught:
        sample_stack.invoke(name)

    assert caught.value.problem["error"]["type"] == error_type


def test_a_new_attempt_yields_anew(sample_stack: Stack, tmp_path: Path) -> None:
    assert sample_stack.invoke("yield_and_try_again") == [2]

    marker = tmp_path / "go on"
    marker.touch()
    assert sample_stack.invoke("yield_and_die", {"marker": str(marker)}) == [2, 0]


def test_one_that_yields_can_be_cancelled(sample_stack: Stack, tmp_path: Path) -> None:
    marker = str(tmp_path / "never")
    for name in ("yield_alone", "yield_async"):
        one = accept(sample_stack, name, {"marker": marker})
        sample_stack.wait_for(
            lambda one=one: record(sample_stack, one, wait=0)["status"] == "running",  # type: ignore[misc]
            "the attempt",
        )
        assert sample_stack.request(f"/invocations/{one}", method="DELETE").status == 202
        assert record(sample_stack, one)["status"] == "cancelled"


def test_the_schema_says_what_is_in_the_list(sample_stack: Stack) -> None:
    described = sample_stack.request("/functions/yield_numbers").body

    assert described["result_schema"] == {"type": "array", "items": {"type": "integer"}}


def test_celery_programs_get_the_list_in_a_canvas_too(producer: celery.Celery) -> None:
    assert producer.send_task("yield_numbers", [3]).get(timeout=20) == [0, 1, 2]

    def numbers(count: int) -> Any:
        return producer.signature("yield_numbers", args=[count], app=producer)

    group = celery.group([numbers(1), numbers(2)], app=producer).apply_async()
    assert group.get(timeout=20) == [[0], [0, 1]]
    chain = numbers(2) | producer.signature("yield_numbers", args=[1], immutable=True)
    assert chain.apply_async().get(timeout=20) == [0]
    endless = producer.signature("yield_without_end", link=numbers(1))
    with pytest.raises(Exception, match="the limit is 300000"):
        endless.apply_async().get(timeout=20)
