"""Payloads and results of all kinds, and the ways in which functions end."""

import asyncio
import datetime
import enum
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

from msgspec import Meta, Struct, defstruct, field

from runtime import Context, function

T = TypeVar("T")
Percent = Annotated[int, Meta(ge=0, le=100)]


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


class Item(Struct, forbid_unknown_fields=True):
    """A line of an order."""

    name: Annotated[str, Meta(min_length=1, max_length=20, examples=["tea"])]
    price: Decimal
    size: Size = Size.SMALL


class Order(Struct):
    items: list[Item]
    id: UUID | None = None
    due: datetime.date | None = None


class Node(Struct):
    """A tree: a schema that refers to itself."""

    value: int
    children: list["Node"] = field(default_factory=list)


class Circle(Struct, tag="circle"):
    radius: Annotated[float, Meta(gt=0)]


class Square(Struct, tag="square"):
    side: float


class Box(Struct, Generic[T]):
    inside: T


@function
def order(items: list[Item], *, discount: Percent = 0, note: str | None = None) -> Order:
    """Take an order.

    Of several lines.
    """
    return Order(items=items)


@function
def tree(root: Node) -> Node:
    """Return a tree as it came."""
    return root


class Größe(enum.IntEnum):  # noqa: PLC2401  people have such classes
    KLEIN = 1
    GROSS = 2


Leaf = defstruct("Node", [("größe", Größe)])


@function
def leaves(found: list[Leaf]) -> int:  # type: ignore[valid-type]
    """Take classes of a name that is taken, and of one that is not ASCII."""
    return len(found)


@function(on="com.example.shape.*")
def area(shape: Circle | Square, unit: Literal["cm", "m"] = "m") -> float:
    """Return how large something is."""
    return shape.radius**2 * 3 if isinstance(shape, Circle) else shape.side**2


@function
def boxes(box: Box[int], other: Box[str]) -> dict[str, Box[int]]:
    """Have types that are made of types."""
    return {"box": box}


@function(name="with.dots")
def moment(at: datetime.datetime, day: datetime.date, id: UUID) -> datetime.datetime:  # noqa: A002
    """Return a time as it came."""
    return at


@function(on="*")
def anything(event: Any) -> Any:
    """Return the payload, whatever it is."""
    return event


@function
def rest(name: str, **more: Any) -> list[str]:
    """Take members that have no parameter."""
    return [name, *more]


@function(every=3600)
def untyped(first="a", second=None, *, context: Context):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Have no type hints."""
    return [first, second]


@function
def fib(number: int) -> list[int]:
    """Be the function that `/create` invokes."""
    return [number]


@function
def fail(message: str = "no") -> None:
    """Fail, as functions do."""
    raise ValueError(message)


@function
def numbers(count: Percent) -> Iterator[int]:
    """Yield what is a list in the end."""
    yield from range(count)


@function(timeout=0.2)
async def hang() -> None:
    """Run until it is stopped."""
    await asyncio.sleep(60)
