"""`eyas replay`."""

import sys
import time

import click

from runtime.cli import common, outcome


@click.command()
@click.argument("invocation_id", metavar="ID")
@click.argument("payload", required=False, metavar="[JSON]")
@click.option("--wait", is_flag=True, help="Wait for the result and print it.")
@click.option(
    "--seconds", default=60, show_default=True, type=click.IntRange(1), help="How long to wait."
)
@common.url_option
def replay(
    *, invocation_id: str, payload: str | None, wait: bool, seconds: int, url: str | None
) -> None:
    """Run the invocation ID once more, as a new one: with its payload, or with another.

    Prints the new invocation's id, or with --wait the result.
    """
    raw = b""
    if payload is not None:
        raw = payload.encode("utf-8", "surrogateescape")
        if payload == "-":
            raw = sys.stdin.buffer.read()
    until = time.monotonic() + seconds
    answer = common.request(
        url,
        f"/invocations/{common.quoted(invocation_id)}/replay",
        method="POST",
        body=raw,
        wait_seconds=seconds if wait else None,
    )
    outcome.show(answer, url=url, until=until if wait else None)
