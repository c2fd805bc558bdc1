"""What the document says of one function, and the schemas of its payload and its result."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from runtime.errors import InvocationError, UnknownFunctionError
from runtime.function import Function
from runtime.registry import Registry
from runtime.web.openapi.operation import schema
from runtime.web.openapi.problem_details import of
from runtime.web.openapi.schemas import TEXT
from runtime.web.problems import Problem


def schemas(registry: Registry) -> dict[str, Any]:
    """Return the schemas of payloads and results, by their names among the components."""
    return {name: _placed(one, name) for name, one in _schemas(registry)}


def _schemas(registry: Registry) -> Iterator[tuple[str, Any]]:
    for function in registry.values():
        yield _payload_name(function), function.payload.schema()
        yield _result_name(function), function.result_schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What is said of a function; or, without a name, of all of them."""

    name: str | None
    description: str
    payload: dict[str, Any]
    result: dict[str, Any]
    is_payload_required: bool

    @classmethod
    def of(cls, function: Function[..., Any]) -> Self:
        return cls(
            name=function.name,
            description=function.description,
            payload=schema(_payload_name(function)),
            result=schema(_result_name(function)),
            is_payload_required=not _takes_nothing(function),
        )

    @property
    def path(self) -> str:
        return f"/functions/{self.name or '{name}'}"

    @property
    def called(self) -> str:
        return self.name or "a function"

    @property
    def suffix(self) -> str:
        """The end of operation ids. No two are the same, whatever functions are called."""
        return f"_{self.name}" if self.name else "Function"

    @property
    def name_schema(self) -> dict[str, Any]:
        return {"const": self.name} if self.name else TEXT

    @property
    def problems(self) -> tuple[Problem, ...]:
        return () if self.name else (of(UnknownFunctionError),)


ANY = Described(
    name=None,
    description="Each function is described with a path of its own; this is true of all.",
    payload={},
    result={},
    is_payload_required=False,
)


def _takes_nothing(function: Function[..., Any]) -> bool:
    """Tell whether `{}`, which an empty body means, is a payload of a function."""
    try:
        function.payload.check(b"")
    except InvocationError:
        return False
    return True


def _payload_name(function: Function[..., Any]) -> str:
    return f"{function.name}.payload"


def _result_name(function: Function[..., Any]) -> str:
    return f"{function.name}.result"


def _placed(one: Any, name: str) -> Any:
    """Return a schema with references that are right in the place that it has in the document.

    Its `$defs` stay in it. References, and the mappings of discriminators, are the texts that begin
    at them.
    """
    if isinstance(one, dict):
        return {key: _placed(value, name) for key, value in one.items()}
    if isinstance(one, list | tuple):
        return [_placed(value, name) for value in one]
    if isinstance(one, str) and one.startswith("#/$defs/"):
        return f"#/components/schemas/{name}{one[1:]}"
    return one
