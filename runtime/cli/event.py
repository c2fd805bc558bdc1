"""`eyas event`."""

import difflib
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from runtime import json_text
from runtime.cli import sample_events
from runtime.errors import MalformedJSONError

# Objects whose members have names of the sender's choice: any can be added.
_OPEN = frozenset(
    {
        "headers",
        "multiValueHeaders",
        "queryStringParameters",
        "multiValueQueryStringParameters",
        "pathParameters",
        "stageVariables",
        "authorizer",
        "attributes",
        "messageAttributes",
        "MessageAttributes",
        "detail",
        "data",
        "Keys",
        "NewImage",
        "OldImage",
    }
)


class _Kinds(click.Group):
    """The events; without one, lists them."""

    def invoke(self, ctx: click.Context) -> None:
        # What the command of a kind returns is the event.
        try:
            if (made := super().invoke(ctx)) is not None:
                click.echo(json.dumps(made, ensure_ascii=False, indent=2).encode())
        except UnicodeEncodeError:
            raise click.ClickException("expected arguments in UTF-8") from None


@click.group(cls=_Kinds, invoke_without_command=True)
@click.pass_context
def event(ctx: click.Context) -> None:
    """Print a sample event of another service, to invoke a function with.

    \b
      eyas event
      eyas event s3-put --bucket photos --key 2026/cat.jpg | eyas invoke echo - --wait
      eyas event sqs --body '{"order": 7}' --count 3
      eyas event sqs --set 'Records.0.attributes.ApproximateReceiveCount="2"'

    Members have dotted paths; those of a list have numbers, from 0.
    """  # noqa: D301  click reads the backspace
    if ctx.invoked_subcommand is None:
        width = max(map(len, event.commands))
        for name in event.list_commands(ctx):
            click.echo(f"{name:<{width}}  {event.commands[name].get_short_help_str(80)}")


def _kind(
    name: str, *options: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> Callable[[Callable[..., dict[str, Any]]], Callable[..., dict[str, Any]]]:
    """Make a command of a function that returns an event; `--set` changes what it returns."""

    def mark(build: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        def command(*, changes: Sequence[str], **given: Any) -> dict[str, Any]:
            made = build(**given)
            for change in changes:
                _change(made, change)
            return made

        command.__doc__ = build.__doc__
        command = click.option(
            "--set",
            "changes",
            multiple=True,
            metavar="PATH=JSON",
            help="Give the member at a dotted path another value; may be repeated.",
        )(command)
        for option in reversed(options):
            command = option(command)
        event.command(name)(command)
        return build

    return mark


class _JSON(click.ParamType[Any]):
    name = "JSON"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return _decode(value)
        except MalformedJSONError as error:
            return self.fail(_not_json(value, error), param, ctx)


class _JSONObject(_JSON):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        decoded = super().convert(value, param, ctx)
        return decoded if isinstance(decoded, dict) else self.fail("expected {...}", param, ctx)


class _Pair(click.ParamType[Any]):
    name = "NAME=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        name, equals, text = value.partition("=")
        return (name, text) if equals and name else self.fail("expected NAME=VALUE", param, ctx)


_count = click.option(
    "--count", default=1, show_default=True, type=click.IntRange(1, 10_000), help="How many."
)


@_kind(
    "s3-put",
    click.option("--bucket", default="example-bucket", show_default=True),
    click.option("--key", default="photos/cat.jpg", show_default=True, help="Of the object."),
    click.option("--size", default=1024, show_default=True, type=click.IntRange(0), help="Bytes."),
)
def _s3_put(**given: Any) -> dict[str, Any]:
    """S3: an object was written."""
    return sample_events.s3_put(at=_now(), **given)


@_kind(
    "sqs",
    click.option("--queue", default="example-queue", show_default=True),
    click.option("--body", default='{"message": "Hello"}', show_default=True, help="A text."),
    _count,
)
def _sqs(**given: Any) -> dict[str, Any]:
    """SQS: messages of a queue."""
    return sample_events.sqs(at=_now(), **given)


@_kind(
    "sns",
    click.option("--topic", default="example-topic", show_default=True),
    click.option("--message", default='{"message": "Hello"}', show_default=True, help="A text."),
    click.option("--subject", help="A text.  [default: none]"),
)
def _sns(**given: Any) -> dict[str, Any]:
    """SNS: a notification of a topic."""
    return sample_events.sns(at=_now(), **given)


@_kind(
    "api-gateway",
    click.option(
        "--format",
        "version",
        default="2.0",
        show_default=True,
        type=click.Choice(["1.0", "2.0"]),
        help="1.0: REST APIs; 2.0: HTTP APIs.",
    ),
    click.option("--method", help="[default: GET, or POST with a body]"),
    click.option("--path", default="/", show_default=True),
    click.option("--query", multiple=True, type=_Pair(), help="May be repeated."),
    click.option("--header", "headers", multiple=True, type=_Pair(), help="May be repeated."),
    click.option("--body", help="A text.  [default: none]"),
)
def _api_gateway(*, version: str, method: str | None, path: str, **given: Any) -> dict[str, Any]:
    """API Gateway: an HTTP request, format 1.0 or 2.0."""
    build = sample_events.api_gateway_v1 if version == "1.0" else sample_events.api_gateway_v2
    return build(
        at=_now(),
        method=(method or ("GET" if given["body"] is None else "POST")).upper(),
        path="/" + path.lstrip("/"),
        **given,
    )


@_kind(
    "eventbridge",
    click.option("--source", default="com.example.orders", show_default=True),
    click.option("--detail-type", default="Order Placed", show_default=True),
    click.option("--detail", default='{"orderId": "1001"}', show_default=True, type=_JSON()),
)
def _eventbridge(**given: Any) -> dict[str, Any]:
    """EventBridge: an event of a bus."""
    return sample_events.eventbridge(at=_now(), **given)


@_kind("schedule", click.option("--rule", default="example-rule", show_default=True))
def _schedule(**given: Any) -> dict[str, Any]:
    """EventBridge: a rule with a schedule has fired."""
    return sample_events.schedule(at=_now(), **given)


@_kind(
    "cloudevent",
    click.option("--source", default="/example/orders", show_default=True),
    click.option("--type", "event_type", default="com.example.order.placed", show_default=True),
    click.option("--subject", default="1001", show_default=True),
    click.option("--data", default='{"orderId": "1001"}', show_default=True, type=_JSON()),
)
def _cloudevent(**given: Any) -> dict[str, Any]:
    """CloudEvents 1.0 in the JSON format."""
    return sample_events.cloudevent(at=_now(), **given)


@_kind(
    "dynamodb",
    click.option("--table", default="example-table", show_default=True),
    click.option(
        "--change",
        default="insert",
        show_default=True,
        type=click.Choice(["insert", "modify", "remove"]),
    ),
    click.option("--key", default="id", show_default=True, help="The member that is the key."),
    click.option(
        "--item",
        default='{"id": "1001", "amount": 3}',
        show_default=True,
        type=_JSONObject(),
        help="The new item, as plain JSON.",
    ),
    click.option(
        "--old-item",
        default='{"id": "1001", "amount": 2}',
        show_default=True,
        type=_JSONObject(),
        help="What it was before.",
    ),
)
def _dynamodb(**given: Any) -> dict[str, Any]:
    """DynamoDB Streams: an item was inserted, modified or removed."""
    try:
        return sample_events.dynamodb(at=_now(), **given)
    except KeyError:
        name = "--old-item" if given["change"] == "remove" else "--item"
        raise click.ClickException(f"{name} has no member {given['key']!r} (--key)") from None


@_kind(
    "kinesis",
    click.option("--stream", default="example-stream", show_default=True),
    click.option("--data", default='{"message": "Hello"}', show_default=True, help="A text."),
    click.option("--partition-key", default="1", show_default=True),
    _count,
)
def _kinesis(**given: Any) -> dict[str, Any]:
    """Kinesis: records of a stream, their data in base64."""
    return sample_events.kinesis(at=_now(), **given)


def _now() -> datetime:
    return datetime.now(UTC)


def _change(made: Any, change: str) -> None:
    """Carry out `path.to.member=JSON`."""
    path, equals, text = change.partition("=")
    if not equals or not path:
        raise _refusal(change, "expected PATH=JSON")
    try:
        value = _decode(text)
    except MalformedJSONError as error:
        raise _refusal(change, _not_json(text, error)) from None
    names = path.split(".")
    here = made
    for depth, name in enumerate(names[:-1]):
        here = _member(here, name, change, names[:depth])
    last, place = names[-1], names[:-1]
    if isinstance(here, dict) and not _OPEN.isdisjoint(place):
        here[last] = value
        return
    _member(here, last, change, place)
    here[last if isinstance(here, dict) else int(last)] = value


def _member(here: Any, name: str, change: str, place: Sequence[str]) -> Any:
    where = f"{'.'.join(place)!r}" if place else "the event"
    if isinstance(here, list):
        if name.isdecimal() and int(name) < len(here):
            return here[int(name)]
        raise _refusal(
            change, f"{where} is a list of {len(here)}; expected a number from 0, not {name!r}"
        )
    if not isinstance(here, dict):
        what = {str: "a text", type(None): "null"}.get(type(here), "a value")
        raise _refusal(change, f"{where} is {what}, which has no members: set it as a whole")
    if name not in here:
        close = difflib.get_close_matches(name, here, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else f"it has {', '.join(here)}"
        raise _refusal(change, f"{where} has no member {name!r}; {hint}")
    return here[name]


def _decode(text: str) -> Any:
    # Nothing at all would be an empty payload.
    return json_text.decode(text.encode() or b" ")


def _not_json(text: str, error: MalformedJSONError) -> str:
    return f"{text!r} is not JSON: {error}; a text is written in double quotes"


def _refusal(change: str, reason: str) -> click.ClickException:
    return click.ClickException(f"--set {change}: {reason}")
