"""What the commands share: the settings, and one request to the running stack."""

import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

import click

from runtime.errors import SettingsError
from runtime.json_text import limit_integer_digits
from runtime.settings import Settings

_ANSWER_SECONDS = 5.0
_LINE_CHARACTERS = 100

url_option = click.option(
    "--url",
    envvar="EYAS_URL",
    metavar="URL",
    help="Where the stack listens.  [default: http://127.0.0.1:8000, or as EYAS_HOST and PORT say]",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer; `body` is its JSON value."""

    status: int
    body: Any


def settings() -> Settings:
    """Read the settings; a bad one is a one-line error."""
    try:
        found = Settings.from_environment(os.environ)
    except SettingsError as error:
        raise click.ClickException("; ".join(error.problems)) from None
    limit_integer_digits(found.max_integer_digits)
    return found


def request(
    url: str | None,
    path: str,
    *,
    body: bytes | None = None,
    wait_seconds: int | None = None,
) -> Answer:
    """Send one request to the stack; GET, or POST if there is a `body`."""
    base = (url or settings().web_url).rstrip("/")
    if not base.startswith(("http://", "https://")):
        raise click.ClickException(f"--url {base!r}: expected http:// or https://")
    headers = {"Content-Type": "application/json"}
    if wait_seconds is not None:
        headers["Prefer"] = f"wait={wait_seconds}"
    timeout = _ANSWER_SECONDS + (wait_seconds or 0)
    try:
        sent = urllib.request.Request(base + path, data=body, headers=headers)  # noqa: S310  checked
        with urllib.request.urlopen(sent, timeout=timeout) as answer:  # noqa: S310  checked above
            return _answer(base, answer.status, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return _answer(base, error.code, error.read())
    except (ValueError, HTTPException) as error:
        raise click.ClickException(f"{base!r} is not a URL that can be asked: {error}") from None
    except OSError as error:  # URLError is one
        reason = getattr(error, "reason", error)
        raise click.ClickException(
            f"no stack answers at {base} ({reason}). Start one with `make start`, or name it "
            "with --url."
        ) from None


def refuse(answer: Answer) -> click.ClickException:
    """Make the one-line error of a problem answer."""
    body = answer.body if isinstance(answer.body, dict) else {}
    return click.ClickException(
        str(body.get("detail") or body.get("title") or f"HTTP status {answer.status}")
    )


def pretty(value: Any) -> str:
    """Return JSON for people: on one line if that is short."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) <= _LINE_CHARACTERS:
        return line
    return json.dumps(value, ensure_ascii=False, indent=2)


def _answer(base: str, status: int, raw: bytes) -> Answer:
    try:
        return Answer(status=status, body=json.loads(raw) if raw else None)
    except ValueError:
        raise click.ClickException(
            f"what answers at {base} is not Eyas (HTTP status {status}, no JSON)"
        ) from None
