"""Under which terms an invocation is asked for: what the headers of its request say."""

import hashlib
import re
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import falcon
import msgspec

from runtime import json_text
from runtime.cloudevents import SPECVERSION_HEADER
from runtime.invocation import IdempotencyKey
from runtime.policy import RetryPolicy
from runtime.settings import Settings
from runtime.web import prefer
from runtime.web.exchange import Request
from runtime.webhook import InvalidTargetError, Target

EVENT_HEADERS = frozenset({SPECVERSION_HEADER})
"""What tells an event in binary mode from a payload."""

# A string of RFC 8941 (section 3.3.3), or its content alone as most clients send it.
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"\s*(?:;.*)?')
_BARE = re.compile(r"[!#-+\--\[\]-~]+")  # visible ASCII without quote, comma and backslash
_LONGEST_KEY = 255  # characters
_HEADERS = frozenset(
    {b"traceparent", b"eyas-delay", b"eyas-callback", b"idempotency-key", SPECVERSION_HEADER}
)
_DELAY = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a request says about an invocation besides function and payload.

    `replay_of` is the id of the invocation that this one repeats. With `has_event`, there is the
    header that a CloudEvent in binary mode has. `digest` is of what must be the same if the key is
    used again; None for that of the payload. With `takes_unfit`, a payload that does not fit the
    function is accepted too, and its attempt will fail. `calling` is what a caller of the Lambda
    API says besides. With a `policy`, the function's does not apply. `on_success` and `on_failure`
    are destinations.
    """

    request_id: str
    trace_parent: str | None = None
    delay_seconds: float = 0.0
    idempotency_key: str | None = None
    replay_of: str | None = None
    callback: str | None = None
    has_event: bool = False
    trigger: str = "http"
    digest: str | None = None
    takes_unfit: bool = False
    calling: bytes | None = None
    policy: RetryPolicy | None = None
    on_success: str | None = None
    on_failure: str | None = None

    def idempotency(self, payload: bytes, *, ttl_seconds: int) -> IdempotencyKey | None:
        """Return the key with the digest of what must be the same if it is used again."""
        if self.idempotency_key is None:
            return None
        return IdempotencyKey(
            key=self.idempotency_key,
            digest=self.digest or _digest(payload, replay_of=self.replay_of),
            ttl_seconds=ttl_seconds,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a client waits: `seconds`, which end at `until` (monotonic), or till it hangs up."""

    seconds: int
    until: float
    hung_up: Callable[[], Coroutine[Any, Any, None]]


def terms_of(req: Request, settings: Settings, *, replay_of: str | None = None) -> Terms:
    """Read the headers that are about an invocation; raises falcon's 400 for a malformed one."""
    if req.span is None and not req.asks_for(_HEADERS):
        return Terms(request_id=req.request_id, replay_of=replay_of)
    return Terms(
        request_id=req.request_id,
        trace_parent=req.trace_parent,
        delay_seconds=delay_seconds(req.header(b"eyas-delay"), longest=settings.max_delay_seconds),
        idempotency_key=idempotency_key(req.header(b"idempotency-key")),
        replay_of=replay_of,
        callback=callback_url(req.header(b"eyas-callback"), settings),
        has_event=req.asks_for(EVENT_HEADERS),
    )


def patience_of(req: Request, settings: Settings) -> Patience | None:
    """Return how long the client wants to wait and is allowed to; None if it does not."""
    seconds = prefer.wait_seconds(req.header(b"prefer"), longest=settings.max_wait_seconds)
    if seconds is None:
        return None
    return Patience(seconds=seconds, until=time.monotonic() + seconds, hung_up=req.hung_up)


def idempotency_key(header: str | None) -> str | None:
    """Return the key in an `Idempotency-Key` header, quoted or bare.

    https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header-07
    """
    if header is None:
        return None
    text = header.strip()
    key = ""
    if quoted := _QUOTED.fullmatch(text):
        key = re.sub(r'\\(["\\])', r"\1", quoted[1])
    elif _BARE.fullmatch(text):
        key = text
    if not 1 <= len(key) <= _LONGEST_KEY:
        raise falcon.HTTPBadRequest(
            description=f"Idempotency-Key: expected 1 to {_LONGEST_KEY} ASCII characters, in "
            'double quotes, or without quotes if they are visible and none of "\\,'
        )
    return key


def delay_seconds(header: str | None, *, longest: int) -> float:
    """Return the seconds in an `Eyas-Delay` header; 0 if there is none."""
    if header is None:
        return 0.0
    text = header.strip()
    if not _DELAY.fullmatch(text) or float(text) > longest:
        raise falcon.HTTPBadRequest(
            description=f"Eyas-Delay: expected seconds from 0 to {longest}, such as 90 or 0.5; "
            f"got {text[:40]!r}"
        )
    return float(text)


def callback_url(header: str | None, settings: Settings) -> str | None:
    """Return the URL in an `Eyas-Callback` header, if webhooks may be sent there."""
    if header is None:
        return None
    url = header.strip()
    if settings.callback_key is None:
        raise falcon.HTTPBadRequest(
            description="Eyas-Callback: nothing to sign callbacks with; set EYAS_CALLBACK_SECRET"
        )
    try:
        Target.of(url).check(allowed_hosts=settings.callback_hosts)
    except InvalidTargetError as error:
        raise falcon.HTTPBadRequest(description=f"Eyas-Callback: {error}") from None
    return url


def _digest(payload: bytes, *, replay_of: str | None) -> str:
    """Digest a JSON value, however it is formatted. 1 and 1.0 differ; integers stay exact."""
    try:
        canonical = msgspec.json.encode(json_text.decode(payload), order="sorted")
    except UnicodeEncodeError:  # half of a surrogate pair, which only escapes can write
        canonical = payload
    return hashlib.sha256(b"%s\n%s" % ((replay_of or "").encode(), canonical)).hexdigest()
