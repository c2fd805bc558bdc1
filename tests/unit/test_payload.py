import dataclasses
import datetime
from typing import Annotated, Any

import pytest
from msgspec import Meta

from runtime import Context, function
from runtime.errors import DefinitionError, InvalidPayloadError, MalformedJSONError


@dataclasses.dataclass
class Item:
    name: str
    price: float


@function
def order(
    items: list[Item],
    when: datetime.datetime,
    *,
    note: str | None = None,
    count: Annotated[int, Meta(ge=1, le=9)] = 1,
    tags: dict[str, int] = {},  # noqa: B006  a default that is shared on purpose
) -> float:
    return sum(item.price for item in items) * count


GOOD = b'{"items": [{"name": "a", "price": 2.5}], "when": "2026-01-02T03:04:05Z"}'


def problems(raw: bytes, of: Any = order) -> dict[str, str]:
    with pytest.raises(InvalidPayloadError) as caught:
        of.payload.arguments(raw)
    return {p.pointer: p.detail for p in caught.value.problems}


def test_members_become_typed_arguments_and_defaults_stay_the_handlers_own() -> None:
    arguments = order.payload.arguments(GOOD)

    assert arguments == {
        "items": [Item("a", 2.5)],
        "when": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
    }


def test_a_null_that_the_type_allows_is_passed() -> None:
    assert order.payload.arguments(GOOD[:-1] + b', "note": null}')["note"] is None


def test_every_parameter_that_does_not_fit_is_named() -> None:
    found = problems(
        b'{"items": [{"name": "a", "price": 1}, {"name": 1, "price": 1}], "count": 10, "note": 5,'
        b' "a/b": 1, "tags": {"x": "y"}}'
    )

    assert found.keys() == {"/items/1/name", "/when", "/count", "/note", "/a~1b", "/tags"}
    assert found["/when"] == "required, but missing"
    assert "unknown parameter; expected: items, when" in found["/a~1b"]


@pytest.mark.parametrize("raw", [b"[]", b"null", b"3", b'"x"', b"true"])
def test_what_is_no_object_has_no_parameters(raw: bytes) -> None:
    assert "expected an object" in problems(raw)[""]


@pytest.mark.parametrize("raw", [b'{"number": "1"}', b'{"number": 1.5}', b'{"number": true}'])
def test_values_are_not_coerced(raw: bytes) -> None:
    @function
    def double(number: int) -> int:
        return number * 2

    assert problems(raw, double).keys() == {"/number"}


def test_malformed_json_is_not_an_invalid_payload() -> None:
    with pytest.raises(MalformedJSONError):
        order.payload.arguments(b"{")


def test_long_integers_pass_the_check() -> None:
    @function
    def double(number: int) -> int:
        return number * 2

    assert double.payload.arguments(b'{"number": %s}' % (b"9" * 5000)) == {
        "number": int("9" * 5000)
    }


def test_unhinted_parameters_take_anything() -> None:
    @function
    def loose(a, b=2):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return a, b

    assert loose.payload.arguments(b'{"a": [1, {}]}') == {"a": [1, {}]}


def test_keyword_collectors_take_what_is_left() -> None:
    @function
    def collect(a: int, **rest: Any) -> Any:
        return a, rest

    assert collect.payload.arguments(b'{"a": 1, "b": 2}') == {"a": 1, "b": 2}
    assert problems(b'{"a": "x", "b": 2}', collect).keys() == {"/a"}
    assert collect.payload.schema()["additionalProperties"] is True


def test_the_context_cannot_be_forged() -> None:
    @function
    def informed(a: int, context: Context) -> int:
        return a

    assert problems(b'{"a": 1, "context": {}}', informed).keys() == {"/context"}


@pytest.mark.parametrize("raw", [b"[1]", b"null", b'"x"', b'{"a": 1}'])
def test_an_event_is_the_whole_payload(raw: bytes) -> None:
    @function
    def handler(event: Any, context: Any) -> Any:
        return event

    assert handler.payload.context_parameter == "context"
    assert list(handler.payload.arguments(raw)) == ["event"]


def test_an_event_can_be_typed() -> None:
    @function
    def handler(event: list[Item]) -> float:
        return event[0].price

    assert handler.payload.arguments(b'[{"name": "a", "price": 1}]') == {"event": [Item("a", 1)]}
    assert problems(b'[{"name": "a"}]', handler).keys() == {"/0"}


def test_a_parameter_annotated_as_context_is_one_whatever_its_name() -> None:
    @function
    def handler(number: int, told: Context) -> int:
        return number

    assert handler.payload.context_parameter == "told"
    assert [p.name for p in handler.payload.parameters] == ["number"]


def test_the_schema_says_types_defaults_and_limits() -> None:
    schema = order.payload.schema()

    assert schema["required"] == ["items", "when"]
    assert schema["properties"]["count"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 9,
        "default": 1,
    }
    assert schema["properties"]["items"]["items"] == {"$ref": "#/$defs/Item"}
    assert schema["$defs"]["Item"]["required"] == ["name", "price"]
    assert schema["additionalProperties"] is False


def test_positional_arguments_of_celery_get_their_names() -> None:
    named = order.payload.named([[], "2026-01-01"], {"count": 2})

    assert named == {"items": [], "when": "2026-01-01", "count": 2}
    with pytest.raises(InvalidPayloadError, match="/items: given twice"):
        order.payload.named([[]], {"items": []})
    with pytest.raises(InvalidPayloadError, match="takes 5 arguments, got 6"):
        order.payload.named([1, 2, 3, 4, 5, 6], {})


class Opaque:
    """JSON cannot become one of these."""


def test_signatures_that_no_payload_fits_are_refused() -> None:
    def positional(a: int, /) -> None: ...
    def several(*a: int) -> None: ...
    def opaque(a: Opaque) -> None: ...
    def unresolved(a: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821
    def two_contexts(context: Context, other: Context) -> None: ...

    for handler, says in [
        (positional, "by position only"),
        (several, "use a list parameter"),
        (opaque, "'a' of a type that JSON cannot become"),
        (unresolved, "cannot be resolved"),
        (two_contexts, "two context parameters"),
    ]:
        with pytest.raises(DefinitionError, match=says):
            function(handler)


def test_what_nobody_reads_has_to_be_utf_8_too() -> None:
    raw = GOOD.replace(b'"name": "a"', b'"name": "a", "colour": "\xff"')
    order.payload.check(GOOD)
    order.payload.check(raw.replace(b"\xff", "ü".encode()))

    with pytest.raises(MalformedJSONError, match="not UTF-8"):
        order.payload.check(raw)
