"""Steps that read what the broker keeps of invocations."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from runtime import history
from runtime.invocation import Record, Status
from runtime.settings import Retention
from runtime.store import keys
from runtime.store.scripts import script
from runtime.store.step import Step, pairs

_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How often an invocation has failed so far, and how long ago it was accepted.

    `policy` is its own, as `RetryPolicy.encode` has written it, or empty.
    """

    failures: int
    age_us: int
    policy: bytes


@dataclass(frozen=True, slots=True)
class Gone:
    """The answer to `read` for an invocation whose record has expired."""


def read(invocation_id: str, *, retention: Retention) -> Step[Record | Gone | None]:
    """Read a record; None if the id was never seen."""
    longest = max(retention.record_seconds, retention.dead_letter_seconds) + retention.id_seconds

    def parse(reply: Any) -> Record | Gone | None:
        if reply == [b"gone"]:
            return Gone()
        return record(invocation_id, pairs(reply)) if reply else None

    return Step(
        script=script("read"),
        keys=(keys.invocation(invocation_id),),
        arguments=(invocation_id, math.ceil(longest / _DAY_SECONDS) + 1),
        parse=parse,
    )


def read_payload(invocation_id: str) -> Step[bytes]:
    """Read the payload alone; empty if there is no record."""
    return Step(
        arguments=("HGET", keys.invocation(invocation_id), "payload"),
        parse=lambda reply: reply or b"",
    )


def read_calling(invocation_id: str) -> Step[bytes | None]:
    """Read what a caller of the Lambda API has said besides the payload; None if nothing."""
    return Step(
        arguments=("HGET", keys.invocation(invocation_id), "calling"), parse=lambda reply: reply
    )


def read_counts(function: str) -> Step[dict[str, int]]:
    """Read how many invocations were accepted, and how many have each status."""
    return Step(arguments=("HGETALL", keys.counts(function)), parse=counts)


def counts(reply: Mapping[bytes, Any]) -> dict[str, int]:
    """Return a function's counts, by name."""
    counted = {name.decode(): int(count) for name, count in reply.items()}
    return {name: counted.get(name, 0) for name in ("accepted", *Status)}


def record(invocation_id: str, fields: Mapping[bytes, bytes]) -> Record:
    """Return the record that a hash holds."""

    def text_of(field: bytes) -> str | None:
        return fields[field].decode() if field in fields else None

    def time_of(field: bytes) -> int | None:
        return int(fields[field]) if field in fields else None

    return Record(
        id=invocation_id,
        function=fields[b"function"].decode(),
        status=Status(fields[b"status"].decode()),
        trigger=fields[b"trigger"].decode(),
        payload=fields[b"payload"],
        attempt=int(fields[b"attempt"]),
        max_attempts=int(fields[b"max_attempts"]),
        accepted_at_us=int(fields[b"accepted_at"]),
        started_at_us=time_of(b"started_at"),
        finished_at_us=time_of(b"finished_at"),
        due_at_us=time_of(b"due_at"),
        result=fields.get(b"result"),
        error=fields.get(b"error"),
        progress=fields.get(b"progress"),
        replay_of=text_of(b"replay_of"),
        dead_letter=text_of(b"dead_letter"),
        delay_us=time_of(b"delay"),
        history=history.decode(fields[b"history"]) if b"history" in fields else (),
        calling=fields.get(b"calling"),
        policy=fields.get(b"policy"),
        depth=int(fields.get(b"depth", 0)),
        request_id=text_of(b"request_id"),
    )


def read_news(invocation_id: str, news: bytes) -> tuple[Status, Record | None]:
    """Read what is published of an invocation: its status, and its record if that was sent along.

    Raises `ValueError`, also for a record that has text which is not UTF-8.
    """
    status, _, packed = news.partition(b" ")
    if not packed:
        return Status(status.decode()), None
    # `cmsgpack` writes all strings as text.
    fields = [text.encode() for text in msgspec.msgpack.decode(packed, type=list[str])]
    return Status(status.decode()), record(invocation_id, pairs(fields))


def read_run(invocation_id: str) -> Step[Run]:
    """Read what the policy needs to know of an invocation whose attempt was stopped."""
    return Step(
        script=script("run"),
        keys=(keys.invocation(invocation_id),),
        parse=lambda reply: Run(failures=reply[0], age_us=reply[1], policy=reply[2]),
    )
