"""Messages that no Celery producer writes, made out of one that a producer does write."""

import base64
import json
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

_MISSING = object()


@dataclass(kw_only=True)
class Message:
    """A message in its parts: kombu's envelope, and the body that it holds as base64."""

    envelope: dict[str, Any]
    body: list[Any]

    @property
    def text(self) -> bytes:
        """The message as a producer pushes it."""
        encoded = base64.b64encode(json.dumps(self.body).encode()).decode()
        return json.dumps({"body": encoded, **self.envelope}).encode()

    def having(self, place: str, value: Any = _MISSING) -> bytes:
        """Return it with another value at a place such as `headers.id`, or without that place."""
        changed = json.loads(self.text)
        *parents, name = place.split(".")
        parent = changed
        for one in parents:
            parent = parent[one]
        if value is _MISSING:
            del parent[name]
        else:
            parent[name] = value
        return json.dumps(changed).encode()

    def with_body(self, body: bytes) -> bytes:
        return self.having("body", base64.b64encode(body).decode())


def sound_message(invocation_id: str | None = None) -> Message:
    """Return what `send_task("fast", kwargs={"number": 1})` pushes."""
    chosen = invocation_id or str(uuid.uuid4())
    return Message(
        envelope={
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                "lang": "py",
                "task": "fast",
                "id": chosen,
                "shadow": None,
                "eta": None,
                "expires": None,
                "group": None,
                "group_index": None,
                "retries": 0,
                "timelimit": [None, None],
                "root_id": chosen,
                "parent_id": None,
                "argsrepr": "()",
                "kwargsrepr": "{'number': 1}",
                "origin": "gen1@somewhere",
                "ignore_result": False,
                "replaced_task_nesting": 0,
                "stamped_headers": None,
                "stamps": {},
            },
            "properties": {
                "correlation_id": chosen,
                "reply_to": str(uuid.uuid4()),
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": "celery"},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": str(uuid.uuid4()),
            },
        },
        body=[
            [],
            {"number": 1},
            {"callbacks": None, "errbacks": None, "chain": None, "chord": None},
        ],
    )


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One way to be no message; of some, a worker may still make sense."""

    name: str
    make: Callable[[Message], bytes]
    is_surely_malformed: bool = True


@dataclass
class _Kinds:
    found: list[Kind] = field(default_factory=list)
    is_surely_malformed: bool = True

    def add(self, name: str, make: Callable[[Message], bytes]) -> None:
        self.found.append(Kind(name=name, make=make, is_surely_malformed=self.is_surely_malformed))

    def add_raw(self, name: str, text: bytes) -> None:
        self.add(name, lambda _: text)

    def add_values(self, place: str, *values: Any) -> None:
        for value in values:
            name = f"{place} is {json.dumps(value)[:30]}"
            self.add(name, partial(Message.having, place=place, value=value))

    def add_without(self, *places: str) -> None:
        for place in places:
            self.add(f"no {place}", partial(Message.having, place=place))

    def add_body(self, name: str, body: bytes) -> None:
        self.add(f"decoded body {name}", lambda m: m.with_body(body))


def _not_objects(kinds: _Kinds) -> None:
    kinds.add_raw("empty string", b"")
    kinds.add_raw("blanks", b"  \n")
    kinds.add_raw("no JSON", b"hello")
    kinds.add_raw("half a message", sound_message().text[:200])
    kinds.add_raw("two messages", sound_message().text * 2)
    kinds.add_raw("invalid UTF-8", b'{"body": "\xff\xfe\x80"}')
    kinds.add_raw("invalid UTF-8 in headers", b'{"headers": {"id": "\xc3("}, "body": ""}')
    kinds.add_raw("UTF-16", '{"body": ""}'.encode("utf-16"))
    kinds.add_raw("a byte order mark and nothing else", b"\xef\xbb\xbf")
    kinds.add_raw("null bytes", b"\0" * 1000)
    kinds.add_raw("a pickle", b"\x80\x04\x95\x0b\0\0\0\0\0\0\0}\x94.")
    for text in ("null", "true", "7", "1e999", "NaN", '"text"', "[]", "[[], {}]", "{}"):
        kinds.add_raw(f"JSON {text}", text.encode())
    kinds.add_raw("a huge number", b"9" * 10_000)
    kinds.add_raw("deep arrays", b"[" * 100_000)
    kinds.add_raw("deep closed arrays", b"[" * 50_000 + b"]" * 50_000)
    kinds.add_raw("deep objects", b'{"a":' * 50_000 + b"1" + b"}" * 50_000)


def _wrong_parts(kinds: _Kinds) -> None:
    kinds.add_without("headers", "body", "content-type", "headers.id", "headers.task")
    kinds.add_values("headers", None, 7, "text", [])
    kinds.add_values("body", None, 7, [], {})
    kinds.add_values("content-type", None, 7, [], {}, "", "no such media type")
    kinds.add_values("content-type", "application/x-python-serialize")
    kinds.add_values("content-encoding", 7, [], {}, "utf-7", "no-such-encoding")
    kinds.add_values("headers.id", None, 7, [], {}, "", "two words", "new\nline", "nul\0", "é")
    kinds.add_values("headers.id", "\ud800", "x" * 100_000)
    kinds.add_values("headers.task", None, 7, [], {}, "", "two words", "../fast", "x" * 100_000)
    kinds.add_values("headers.timelimit", "soon", 7, [1], ["x", "y"], [-1, None], {"hard": 1})
    kinds.add_values("headers.retries", "many", -1, 10**30, [], 0.5)
    kinds.add_values("headers.compression", "no-such-codec", 7, "application/x-bz2", "zlib", [])
    kinds.add_values("properties.body_encoding", "rot13", 7, [], {})
    for place in ("headers.eta", "headers.expires"):
        kinds.add_values(place, 7, {}, [], "soon", "2026-13-45T99:99:99", "0000-00-00", "9" * 400)


def _wrong_bodies(kinds: _Kinds) -> None:
    kinds.add("body is no base64", lambda m: m.having("body", "%%%"))
    kinds.add("body is a wrong length of base64", lambda m: m.having("body", "abcde"))
    kinds.add("body is empty", lambda m: m.having("body", ""))
    kinds.add_body("is no JSON", b"hello")
    kinds.add_body("is a pickle", b"\x80\x04}\x94.")
    kinds.add_body("is invalid UTF-8", b'[[], {"number": "\xff"}, {}]')
    kinds.add_body("is compressed, and nothing says so", zlib.compress(sound_message().text))
    kinds.add_body("is deep", b"[[], {" + b'"a":{' * 5000 + b"}" * 5000 + b"}, {}]")
    kinds.add_body("has a huge number", b'[[], {"number": ' + b"9" * 1_000_000 + b"}, {}]")
    for text in ("null", "7", "{}", "[]", "[[]]", "[[], {}]", "[[], {}, {}, {}]", "[{}, [], {}]"):
        kinds.add_body(f"is {text}", text.encode())
    for text in ('["text", {}, {}]', "[[], null, {}]", "[null, {}, {}]", "[[], {}, []]"):
        kinds.add_body(f"is {text}", text.encode())
    for name in ("callbacks", "errbacks", "chain"):
        kinds.add_body(f"has a number as {name}", f'[[], {{}}, {{"{name}": 7}}]'.encode())
    kinds.add_body("has a number as chord", b'[[], {}, {"chord": 7}]')


def _doubtful(kinds: _Kinds) -> None:
    kinds.is_surely_malformed = False
    kinds.add_without("properties", "content-encoding")
    kinds.add_values("properties", None, 7, "text", [])
    for name in ("correlation_id", "reply_to", "delivery_info", "delivery_tag", "priority"):
        kinds.add_without(f"properties.{name}")
        kinds.add_values(f"properties.{name}", None, 7, "text", [], {})
    kinds.add_values("properties.delivery_info.routing_key", None, [], {}, "x" * 10_000)
    kinds.add_values("properties.delivery_info.routing_key", "celery\x06\x163")
    kinds.add_values("headers.task", "no_such_function", "celery.chord_unlock", "celery.map")
    kinds.add_values("headers.id", "../../etc/passwd", "*", "{}", "eyas:open", "y" * 200)
    for name in ("root_id", "group", "stamps", "stamped_headers", "origin", "ignore_result"):
        kinds.add_values(f"headers.{name}", 7, "text", ["text"], {"a": 1})
    kinds.add_body("has callbacks that are none", b'[[], {"number": 1}, {"callbacks": [{}]}]')
    kinds.add_body("has a chain that is none", b'[[], {"number": 1}, {"chain": [{"task": 7}]}]')
    kinds.add_body("has a chain to nowhere", b'[[], {"number": 1}, {"chain": [{"task": "none"}]}]')
    kinds.add_body("has a chord that is none", b'[[], {"number": 1}, {"chord": {"task": []}}]')
    kinds.add_body("has arguments twice", b'[[1], {"number": 1}, {}]')


def all_kinds() -> list[Kind]:
    """Return every kind, with a name of its own."""
    kinds = _Kinds()
    _not_objects(kinds)
    _wrong_parts(kinds)
    _wrong_bodies(kinds)
    _doubtful(kinds)
    return kinds.found
