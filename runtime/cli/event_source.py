"""A client of Server-Sent Events, as far as Eyas sends them.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from runtime.cli import common

_OK = 200
# The server sends something every 15 seconds.
_SILENCE_SECONDS = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event; `data` is its JSON value."""

    type: str
    data: Any


def events(
    url: str | None, path: str, *, shapes: Mapping[str, type[msgspec.Struct]]
) -> Iterator[Event | None]:
    """Yield the events of a stream, until it ends; None when a comment says that it is still there.

    `shapes` says what the data of events of a type have.

    Raises `click.ClickException` if there is no such stream, or none any more.
    """
    headers = {"Accept": "text/event-stream"}
    with common.asked(url, path, headers=headers, seconds=_SILENCE_SECONDS) as (base, answer):
        if answer.status != _OK:
            raise common.refuse(common.answer_of(base, answer))
        if not answer.headers.get("Content-Type", "").startswith("text/event-stream"):
            raise common.not_eyas(base, "no stream of events")
        try:
            for event in parse(raw.rstrip(b"\r\n") for raw in answer):
                if event and event.type in shapes:
                    body = common.Answer(base=base, status=_OK, body=event.data)
                    common.checked(body, shapes[event.type])
                yield event
        except (ValueError, RecursionError) as error:
            raise common.not_eyas(base, f"an event that is no JSON: {error}") from None


def parse(lines: Iterator[bytes]) -> Iterator[Event | None]:
    """Yield the events that are written in lines, which have no line ends."""
    event_type, data = "message", list[str]()
    for line in lines:
        name, _, value = line.decode().partition(":")
        match name:
            case "" if line:
                yield None
            case "":
                if data:
                    yield Event(type=event_type, data=json.loads("\n".join(data)))
                event_type, data = "message", []
            case "event":
                event_type = value.removeprefix(" ")
            case "data":
                data.append(value.removeprefix(" "))
