"""What the document says of one function, and the schemas of its payload and its result."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from runtime.errors import InvocationError, UnknownFunctionError
from runtime.function import Function
from runtime.registry import Registry
from runtime.web.openapi.operation import schema
from runtime.web.openapi.problem_details import of
from runtime.web.openapi.schemas import TEXT
from runtime.web.problems import Problem

_DEFINITIONS = "$defs"


def schemas(registry: Registry) -> dict[str, Any]:
    """Return the schemas of payloads and results, by their names among the components."""
    return {
        name: one
        for function in registry.values()
        for schema_name, whole in (
            (_payload_name(function), function.payload.schema()),
            (_result_name(function), function.result_schema),
        )
        for name, one in _parts(schema_name, whole)
    }


def _parts(name: str, whole: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield a schema without its definitions, and these: programs look for them there only.

    A definition's name is that of a class, as msgspec writes it: in ASCII.
    """
    yield name, _placed({key: one for key, one in whole.items() if key != _DEFINITIONS}, name)
    for definition, one in whole.get(_DEFINITIONS, {}).items():
        yield f"{name}-{definition}", _placed(one, name)


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
    """Return a schema with references that are right in the document.

    References, and the mappings of discriminators, are the texts that begin at the definitions.
    """
    if isinstance(one, dict):
        return {key: _placed(value, name) for key, value in one.items()}
    if isinstance(one, list | tuple):
        return [_placed(value, name) for value in one]
    if isinstance(one, str) and one.startswith(f"#/{_DEFINITIONS}/"):
        return f"#/components/schemas/{name}-{one.removeprefix(f'#/{_DEFINITIONS}/')}"
    return one
