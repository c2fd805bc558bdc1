"""An invocation, and the record that says what became of it."""

import enum
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from runtime.history import Happening
from runtime.moments import between_ms, rfc3339

# Long enough for a UUID and for the names that Celery producers choose themselves. The same text in
# JSON as outside of it: ids are looked for in messages.
_ID = re.compile(r"[!#-\[\]-~]{1,200}")


class Status(enum.StrEnum):
    """Where an invocation stands. `TERMINAL` ones never change again."""

    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


_SPARE_COUNT = 64

TERMINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.EXPIRED})


def new_id() -> str:
    """Return a new invocation id: a random UUID (RFC 9562, version 4), as Celery uses."""
    try:
        return _spare_ids.pop()
    except IndexError:
        first, *others = _new_ids(_SPARE_COUNT)
        _spare_ids.extend(others)
        return first


def _new_ids(count: int) -> Iterator[str]:
    """Make some ids at a time.

    Each call of `os.urandom` lets go of the interpreter: in a process whose other threads wait for
    it, that costs many times what the random numbers cost.
    """
    random = os.urandom(16 * count).hex()
    for at in range(0, len(random), 32):
        digits = random[at : at + 32]
        variant = "89ab"[int(digits[16], 16) & 3]
        yield (
            f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
        )


_spare_ids: list[str] = []
# Else parent and child would give the same ids.
os.register_at_fork(after_in_child=_spare_ids.clear)


def is_id(text: str) -> bool:
    """Tell whether `text` could be an invocation's id.

    1 to 200 visible ASCII characters without quote and backslash.
    """
    return _ID.fullmatch(text) is not None


class Invocation(msgspec.Struct, frozen=True, kw_only=True):
    """One request to run one function with one payload, as it is accepted.

    `payload` is JSON text that was checked against the function's signature; only that of a call
    of the Lambda API need not fit. `retries` and `max_age_seconds` are the function's, as they were
    then. `trace_parent` is a W3C `traceparent` header value: the caller's own, or that of the
    request's span. `callback` is a URL that is told of the end. `calling` is what a caller of the
    Lambda API has said besides the payload, as JSON text. `policy` is its own retry policy, as
    `RetryPolicy.encode` writes it, in place of the function's. `on_success` and `on_failure` are
    destinations that are told of such an end. `depth` says how many invocations were before it,
    each of which told the next of its end.
    """

    id: str
    function: str
    payload: bytes
    trigger: str
    timeout_seconds: float
    retries: int = 0
    max_age_seconds: float | None = None
    delay_seconds: float = 0.0
    request_id: str | None = None
    trace_parent: str | None = None
    replay_of: str | None = None
    callback: str | None = None
    calling: bytes | None = None
    policy: bytes | None = None
    on_success: str | None = None
    on_failure: str | None = None
    depth: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyKey:
    """A caller's key, and a digest of the payload that it came with.

    Two requests with the same key and payload within `ttl_seconds` are one invocation. Keys of
    different `scope` are never the same.
    """

    key: str
    digest: str
    ttl_seconds: int
    scope: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the broker knows of an invocation.

    `payload`, `result`, `error` and `calling` are JSON text; times are microseconds since the Unix
    epoch by the broker's clock. `calling`, `policy` and `depth` are as in an
    `Invocation`.
    """

    id: str
    function: str
    status: Status
    trigger: str
    payload: bytes
    attempt: int
    max_attempts: int
    accepted_at_us: int
    started_at_us: int | None = None
    finished_at_us: int | None = None
    due_at_us: int | None = None
    result: bytes | None = None
    error: bytes | None = None
    progress: bytes | None = None
    replay_of: str | None = None
    dead_letter: str | None = None
    delay_us: int | None = None
    history: tuple[Happening, ...] = ()
    calling: bytes | None = None
    policy: bytes | None = None
    depth: int = 0
    request_id: str | None = None

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def queue_wait_ms(self) -> float | None:
        """From being accepted to the start of the latest attempt."""
        return between_ms(self.accepted_at_us, self.started_at_us)

    @property
    def run_ms(self) -> float | None:
        """From the start of the latest attempt to its end."""
        return between_ms(self.started_at_us, self.finished_at_us)

    def to_json(self) -> dict[str, Any]:
        """Return the record as the HTTP contract shows it."""
        shown: dict[str, Any] = {
            "id": self.id,
            "function": self.function,
            "status": self.status,
            "trigger": self.trigger,
            "payload": msgspec.Raw(self.payload),
        }
        if self.result is not None:
            shown["result"] = msgspec.Raw(self.result)
        if self.error is not None:
            shown["error"] = msgspec.Raw(self.error)
        if self.dead_letter is not None:
            shown["dead_letter"] = self.dead_letter
        shown |= {
            "attempt": self.attempt,
            "max_attempts": self.max_attempts,
            "progress": msgspec.Raw(self.progress or b"null"),
            "replay_of": self.replay_of,
            "accepted_at": rfc3339(self.accepted_at_us),
            "due_at": rfc3339(self.due_at_us),
            "started_at": rfc3339(self.started_at_us),
            "finished_at": rfc3339(self.finished_at_us),
            "queue_wait_ms": self.queue_wait_ms,
            "run_ms": self.run_ms,
        }
        if self.request_id is not None:
            shown["request_id"] = self.request_id
        if self.delay_us is not None:
            shown["delay_seconds"] = self.delay_us / 1_000_000
        if self.history:
            shown["history"] = [happening.to_json() for happening in self.history]
        return shown
