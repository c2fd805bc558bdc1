import pytest

from runtime import function
from runtime.errors import DefinitionError


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


@pytest.mark.parametrize("name", ["", "1a", "a b", "a/b", "é", "x" * 65, "_a"])
def test_names_that_no_route_could_have_are_refused(name: str) -> None:
    with pytest.raises(DefinitionError, match="cannot be a function's name"):

        @function(name=name)
        def handler() -> None: ...


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan"), "9"])
def test_timeouts_that_never_come_are_refused(timeout: float) -> None:
    with pytest.raises(DefinitionError, match="expected seconds above 0"):

        @function(timeout=timeout)
        def handler() -> None: ...


def test_a_generator_is_no_handler() -> None:
    with pytest.raises(DefinitionError, match="returns one JSON value"):

        @function
        def handler():  # type: ignore[no-untyped-def]  # noqa: ANN202
            yield 1


def test_what_cannot_be_called_is_no_handler() -> None:
    with pytest.raises(DefinitionError, match="takes a callable"):
        function(3)  # type: ignore[call-overload]
