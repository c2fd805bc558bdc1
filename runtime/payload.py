"""What a function accepts: derived from its handler's signature, checked before anything is queued.

Two shapes. A handler whose only parameter besides the context is named `event` receives the whole
payload. Any other handler receives the members of a JSON object as keyword arguments.
"""

import inspect
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import msgspec

from runtime import json_text
from runtime.context import Context
from runtime.errors import DefinitionError, InvalidPayloadError, PayloadProblem

# Lambda handlers mark what they do not use with an underscore.
_CONTEXT_NAMES = frozenset({"context", "_context"})
_EVENT_NAMES = frozenset({"event", "_event"})
_PATH_STEP = re.compile(r"\.(?P<member>[^.\[]+)|\[(?P<index>\d+)\]|(?P<unknown>\[\.\.\.\])")
_LOCATED = re.compile(r"^(?P<detail>.*?) - at `(?P<key>key` in `)?\$(?P<path>.*)`$", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One keyword argument that a payload may hold."""

    name: str
    type: Any
    required: bool
    default: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadType:
    """The payloads that one function accepts, and how they become its handler's arguments.

    With `takes_all` no parameter may be left out.
    """

    function: str
    context_parameter: str | None
    event: Parameter | None
    parameters: tuple[Parameter, ...]
    accepts_unknown: bool
    takes_all: bool
    decode: Callable[[bytes], Any]

    @classmethod
    def of(cls, function: str, handler: Callable[..., Any]) -> Self:
        """Read a handler's signature. Raises `DefinitionError` if no payload could satisfy it."""
        where = f"function {function!r}"
        hints = _type_hints(where, handler)
        parameters: list[Parameter] = []
        context_parameter = None
        accepts_unknown = False
        for name, parameter in inspect.signature(handler).parameters.items():
            hint = hints.get(name, Any)
            if name in _CONTEXT_NAMES or hint is Context:
                if context_parameter is not None:
                    raise DefinitionError(f"{where} has two context parameters")
                context_parameter = name
            elif parameter.kind is parameter.VAR_KEYWORD:
                accepts_unknown = True
            elif parameter.kind is parameter.VAR_POSITIONAL:
                raise DefinitionError(
                    f"{where} takes *{name}: a payload has names only; use a list parameter"
                )
            elif name == "self":
                raise DefinitionError(
                    f"{where} has a parameter named self: methods are no handlers"
                )
            elif parameter.kind is parameter.POSITIONAL_ONLY:
                raise DefinitionError(f"{where} takes {name!r} by position only")
            else:
                parameters.append(_parameter(where, name, hint, parameter.default))
        event = None
        if len(parameters) == 1 and parameters[0].name in _EVENT_NAMES and not accepts_unknown:
            event = parameters.pop()
        model = event.type if event else _model(function, parameters)
        return cls(
            function=function,
            context_parameter=context_parameter,
            event=event,
            parameters=tuple(parameters),
            accepts_unknown=accepts_unknown,
            takes_all=all(parameter.required for parameter in parameters),
            decode=msgspec.json.Decoder(model).decode,
        )

    def check(self, raw: bytes) -> None:
        """Raise what `arguments` raises, and refuse what is nested too deeply to be handled."""
        json_text.check_nesting(raw)
        if not self.accepts_unknown:
            try:
                self.decode(raw or b"{}")
            except (msgspec.MsgspecError, UnicodeError, RecursionError):
                pass  # the careful way below says what is wrong, and where
            else:
                json_text.check_encoding(raw)
                return
        self.arguments_of(json_text.decode(raw))

    def arguments(self, raw: bytes) -> dict[str, Any]:
        """Turn a payload into the handler's keyword arguments, converted to their types.

        `raw` is JSON text; empty means `{}`. Raises `MalformedJSONError`, or `InvalidPayloadError`
        with one problem for each parameter that does not fit.
        """
        if not self.accepts_unknown:
            try:
                value = self.decode(raw or b"{}")
            except (msgspec.MsgspecError, UnicodeError, RecursionError):
                pass  # the careful way below says what is wrong, and where
            else:
                return self._from_model(value)
        return self.arguments_of(json_text.decode(raw))

    def arguments_of(self, payload: Any) -> dict[str, Any]:
        """`arguments`, for a payload that is already a Python value."""
        if self.event is not None:
            value, problems = _convert(payload, self.event.type, "")
            if problems:
                raise InvalidPayloadError(self.function, problems)
            return {self.event.name: value}
        return self._members(payload)

    def named(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Return the payload that a Celery producer meant by positional and keyword arguments."""
        names = [self.event.name] if self.event else [p.name for p in self.parameters]
        if len(args) > len(names):
            problem = PayloadProblem("", f"takes {len(names)} arguments, got {len(args)}")
            raise InvalidPayloadError(self.function, [problem])
        members = dict(zip(names, args, strict=False))
        twice = [PayloadProblem(f"/{name}", "given twice") for name in members if name in kwargs]
        if twice:
            raise InvalidPayloadError(self.function, twice)
        members.update(kwargs)
        if self.event is None:
            return members
        if set(members) - {self.event.name}:
            problem = PayloadProblem("", f"takes one argument, {self.event.name!r}")
            raise InvalidPayloadError(self.function, [problem])
        return members.get(self.event.name, {})

    def schema(self) -> dict[str, Any]:
        """JSON Schema (draft 2020-12) of the payload."""
        if self.event is not None:
            return schema_of(self.event.type)
        types = [p.type for p in self.parameters]
        schemas, components = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
        properties = {}
        for parameter, schema in zip(self.parameters, schemas, strict=True):
            properties[parameter.name] = dict(schema)
            if not parameter.required:
                _show_default(properties[parameter.name], parameter.default)
        return {
            "type": "object",
            "properties": properties,
            "required": [p.name for p in self.parameters if p.required],
            "additionalProperties": self.accepts_unknown,
            **({"$defs": components} if components else {}),
        }

    def _from_model(self, value: Any) -> dict[str, Any]:
        if self.event is not None:
            return {self.event.name: value}
        if self.takes_all:
            return msgspec.structs.asdict(value)
        # A parameter that was left out is not passed: the handler's own default applies.
        found = ((p.name, getattr(value, p.name)) for p in self.parameters)
        return {name: member for name, member in found if member is not msgspec.UNSET}

    def _members(self, payload: Any) -> dict[str, Any]:
        expected = ", ".join(p.name for p in self.parameters) or "none"
        if not isinstance(payload, dict):
            kind = "null" if payload is None else type(payload).__name__
            detail = f"expected an object with the parameters {expected}; got {kind}"
            raise InvalidPayloadError(self.function, [PayloadProblem("", detail)])
        arguments = {}
        problems: list[PayloadProblem] = []
        for parameter in self.parameters:
            if parameter.name in payload:
                value, wrong = _convert(
                    payload[parameter.name], parameter.type, _pointer(parameter.name)
                )
                arguments[parameter.name] = value
                problems.extend(wrong)
            elif parameter.required:
                problems.append(PayloadProblem(_pointer(parameter.name), "required, but missing"))
        unknown = {name: payload[name] for name in payload.keys() - arguments.keys()}
        if self.context_parameter is not None and self.context_parameter in unknown:
            detail = "the context is given by the runtime, not by the payload"
            problems.append(PayloadProblem(_pointer(self.context_parameter), detail))
        elif self.accepts_unknown and "self" in unknown:  # Celery passes members by name as well
            problems.append(PayloadProblem("/self", "a member of this name cannot be passed"))
        elif self.accepts_unknown:
            arguments.update(unknown)
        else:
            problems.extend(
                PayloadProblem(_pointer(name), f"unknown parameter; expected: {expected}")
                for name in sorted(unknown)
            )
        if problems:
            raise InvalidPayloadError(self.function, problems)
        return arguments


def schema_of(kind: Any) -> dict[str, Any]:
    """JSON Schema of a type; of a type that has none, the schema that allows everything."""
    try:
        (schema,), components = msgspec.json.schema_components(
            [kind], ref_template="#/$defs/{name}"
        )
    except TypeError:
        return {}
    return {**schema, **({"$defs": components} if components else {})}


def _type_hints(where: str, handler: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(handler, include_extras=True)
    except NameError as error:
        raise DefinitionError(
            f"{where} has a type hint that cannot be resolved: {error}"
        ) from error


def _parameter(where: str, name: str, hint: Any, default: Any) -> Parameter:
    try:
        msgspec.json.schema_components([hint])
        msgspec.json.Decoder(hint)
    except TypeError as error:
        raise DefinitionError(
            f"{where} has the parameter {name!r} of a type that JSON cannot become: {error}"
        ) from error
    required = default is inspect.Parameter.empty
    return Parameter(name=name, type=hint, required=required, default=None if required else default)


def _model(function: str, parameters: Sequence[Parameter]) -> Any:
    fields: list[Any] = [
        (p.name, p.type)
        if p.required
        else (p.name, typing.Union[p.type, msgspec.UnsetType], msgspec.UNSET)  # noqa: UP007
        for p in parameters
    ]
    return msgspec.defstruct(
        f"{function}_payload", fields, kw_only=True, forbid_unknown_fields=True
    )


def _convert(value: Any, kind: Any, pointer: str) -> tuple[Any, list[PayloadProblem]]:
    try:
        return msgspec.convert(value, kind), []
    except msgspec.ValidationError as error:
        return None, [_problem(str(error), pointer)]


def _problem(message: str, pointer: str) -> PayloadProblem:
    located = _LOCATED.match(message)
    if located is None:
        return PayloadProblem(pointer, message)
    for step in _PATH_STEP.finditer(located["path"]):
        if step["unknown"]:  # msgspec does not say which member of a mapping
            break
        pointer += _pointer(step["member"] or step["index"])
    return PayloadProblem(pointer, located["detail"])


def _pointer(member: str) -> str:
    return "/" + member.replace("~", "~0").replace("/", "~1")


def _show_default(schema: dict[str, Any], default: Any) -> None:
    try:
        schema["default"] = json_text.decode(json_text.encode(default))
    except json_text.NotJSONError:
        schema.pop("default", None)
