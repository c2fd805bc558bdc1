"""What the commands share: the settings, and requests to the running stack."""

import contextlib
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse, InvalidURL
from typing import Any

import click
import msgspec

from runtime.cli import shapes
from runtime.errors import SettingsError
from runtime.json_text import limit_integer_digits
from runtime.logs.render import escape
from runtime.settings import Settings

_ANSWER_SECONDS = 5.0
_LONGEST_WAIT_SECONDS = 60  # in one request; the server may grant less
_PAUSE_SECONDS = 1.0
_OK = 200
_PROBLEMS_FROM = 400
_UNAVAILABLE = 503
_TERMINAL = ("succeeded", "failed", "cancelled", "expired")

url_option = click.option(
    "--url",
    envvar="EYAS_URL",
    metavar="URL",
    help="Where the stack listens.  [default: http://127.0.0.1:8000, or as EYAS_HOST and PORT say]",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer; `body` is its JSON value, and `base` the URL of the stack that gave it."""

    base: str
    status: int
    body: Any


def settings() -> Settings:
    """Read the settings; a bad one is a one-line error."""
    try:
        found = Settings.from_environment(os.environ)
    except SettingsError as error:
        raise failure("; ".join(error.problems)) from None
    limit_integer_digits(found.max_integer_digits)
    return found


def quoted(name: str) -> str:
    """Return a name or an id as a part of a path."""
    return urllib.parse.quote(name, safe="", errors="surrogateescape")


def request(
    url: str | None,
    path: str,
    *,
    method: str | None = None,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    wait_seconds: float | None = None,
    answer_seconds: float = _ANSWER_SECONDS,
) -> Answer:
    """Send one request to the stack; without a `method` GET, or POST if there is a `body`.

    With `wait_seconds`, ask the stack to wait; it may wait less.
    """
    sent_headers = {"Content-Type": "application/json"} | dict(headers or {})
    if wait_seconds is not None:
        granted = max(1, min(round(wait_seconds), _LONGEST_WAIT_SECONDS))
        sent_headers["Prefer"] = f"wait={granted}"
        answer_seconds += granted
    with asked(
        url, path, method=method, body=body, headers=sent_headers, seconds=answer_seconds
    ) as (
        base,
        answer,
    ):
        return answer_of(base, answer)


@contextlib.contextmanager
def asked(
    url: str | None,
    path: str,
    *,
    method: str | None = None,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    seconds: float,
) -> Iterator[tuple[str, HTTPResponse | urllib.error.HTTPError]]:
    """Send one request; yield where it was sent, and the answer, whose body is not read yet.

    Nothing may take longer than `seconds`: connecting, the beginning of the answer, a part of it.
    What goes wrong meanwhile, also while the body is read, is a one-line error.
    """
    if url:
        # What another stack's settings are is not known here.
        limit_integer_digits()
    base = (url or settings().web_url).rstrip("/")
    if not base.startswith(("http://", "https://")):
        raise failure(f"--url {base!r}: expected http:// or https://")
    try:
        sent = urllib.request.Request(  # noqa: S310  checked
            base + path, data=body, headers=dict(headers or {}), method=method
        )
        try:
            answer = urllib.request.urlopen(sent, timeout=seconds)  # noqa: S310  checked
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            yield base, answer
    except (ValueError, InvalidURL) as error:
        raise failure(f"{base!r} is not a URL that can be asked: {error}") from None
    except OSError as error:  # URLError is one
        reason = getattr(error, "reason", error)
        raise failure(
            f"no stack answers at {base} ({reason}). Start one with `make start`, or name it "
            "with --url."
        ) from None
    except HTTPException as error:
        raise not_eyas(base, f"or has stopped in the middle of its answer: {error!r}") from None


def follow(url: str | None, invocation_id: str, *, seconds: float) -> Answer:
    """Ask for an invocation until it is finished, or until `seconds` are over.

    A broker that is away for a moment is waited for.
    """
    until = time.monotonic() + seconds
    while True:
        left = until - time.monotonic()
        answer = request(
            url, f"/invocations/{quoted(invocation_id)}", wait_seconds=left if left > 0 else None
        )
        is_finished = answer.status == _OK and checked(answer, shapes.Record)["status"] in _TERMINAL
        is_away = answer.status == _UNAVAILABLE
        if is_finished or left <= 0 or (answer.status != _OK and not is_away):
            return answer
        if is_away:
            time.sleep(min(_PAUSE_SECONDS, left))


def refuse(answer: Answer) -> click.ClickException:
    """Make the one-line error of a problem answer, or of one that was not to be expected."""
    body = answer.body if isinstance(answer.body, dict) else {}
    said = body.get("detail") or body.get("title")
    if answer.status < _PROBLEMS_FROM or not said:
        return not_eyas(answer.base, f"HTTP status {answer.status}")
    return failure(str(said))


def failure(text: str) -> click.ClickException:
    """Make a one-line error, whatever others have written into its text."""
    return click.ClickException(escape(text))


def not_eyas(base: str, reason: str) -> click.ClickException:
    """Make the one-line error of an answer that Eyas would not give."""
    return failure(f"what answers at {base} is not Eyas ({reason})")


def checked(answer: Answer, shape: type[msgspec.Struct]) -> Any:
    """Return the body of an answer as it is, after making sure that it has what `shape` has."""
    try:
        msgspec.convert(answer.body, shape)
    except msgspec.ValidationError as error:
        raise not_eyas(answer.base, f"HTTP status {answer.status}, {error}") from None
    return answer.body


def answer_of(base: str, answer: HTTPResponse | urllib.error.HTTPError) -> Answer:
    """Read an answer to its end; what is no JSON is no answer of Eyas."""
    status, raw = answer.status or 0, answer.read()
    try:
        return Answer(base=base, status=status, body=json.loads(raw) if raw else None)
    except (ValueError, RecursionError):
        raise not_eyas(base, f"HTTP status {status}, no JSON") from None
