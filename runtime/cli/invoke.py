"""`eyas invoke`."""

import re
import sys
import time

import click

from runtime.cli import common, outcome

_KEY = re.compile(r"[ -~]{1,255}")


@click.command()
@click.argument("name")
@click.argument("payload", default="{}", metavar="[JSON]")
@click.option("--wait", is_flag=True, help="Wait for the result and print it.")
@click.option(
    "--seconds", default=60, show_default=True, type=click.IntRange(1), help="How long to wait."
)
@click.option(
    "--delay", type=click.FloatRange(0), metavar="SECONDS", help="Do not run it before so long."
)
@click.option(
    "--idempotency-key", metavar="KEY", help="Run it once, however often this is sent with KEY."
)
@common.url_option
def invoke(
    *,
    name: str,
    payload: str,
    wait: bool,
    seconds: int,
    delay: float | None,
    idempotency_key: str | None,
    url: str | None,
) -> None:
    """Run function NAME with a JSON payload; `-` reads the payload from standard input.

    Prints the invocation's id, or with --wait the result.

    \b
      eyas invoke fib '{"number": 10}' --wait
      eyas invoke fib '{"number": 10}' --delay 30
      eyas invoke echo - < payload.json
    """  # noqa: D301  click reads the backspace
    raw = sys.stdin.buffer.read() if payload == "-" else payload.encode("utf-8", "surrogateescape")
    headers = {}
    if delay is not None:
        headers["Eyas-Delay"] = f"{delay:f}"
    if idempotency_key is not None:
        headers["Idempotency-Key"] = _quoted_string(idempotency_key)
    until = time.monotonic() + seconds
    answer = common.request(
        url,
        f"/functions/{common.quoted(name)}",
        body=raw,
        headers=headers,
        wait_seconds=seconds if wait else None,
    )
    outcome.show(answer, url=url, until=until if wait else None)


def _quoted_string(key: str) -> str:
    """Return a key as a string of RFC 8941 (section 3.3.3)."""
    if not _KEY.fullmatch(key):
        raise click.ClickException("--idempotency-key: expected 1 to 255 ASCII characters")
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
