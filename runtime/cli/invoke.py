"""`eyas invoke`."""

import sys
import urllib.parse

import click

from runtime.cli import common

_OK = 200
_ACCEPTED = 202
_FUNCTION_ERRORS = (500, 504)


@click.command()
@click.argument("name")
@click.argument("payload", default="{}", metavar="[JSON]")
@click.option("--wait", is_flag=True, help="Wait for the result and print it.")
@click.option(
    "--seconds", default=60, show_default=True, type=click.IntRange(1), help="How long to wait."
)
@common.url_option
def invoke(*, name: str, payload: str, wait: bool, seconds: int, url: str | None) -> None:
    """Run function NAME with a JSON payload; `-` reads the payload from standard input.

    Prints the invocation's id, or with --wait the result.

    \b
      eyas invoke fib '{"number": 10}' --wait
      eyas invoke echo - < payload.json
    """  # noqa: D301  click reads the backspace
    raw = sys.stdin.buffer.read() if payload == "-" else payload.encode("utf-8", "surrogateescape")
    answer = common.request(
        url,
        f"/functions/{urllib.parse.quote(name, safe='', errors='surrogateescape')}",
        body=raw,
        wait_seconds=seconds if wait else None,
    )
    if answer.status == _OK:
        click.echo(common.pretty(answer.body["result"]))
    elif answer.status == _ACCEPTED:
        click.echo(answer.body["id"])
        if wait:
            raise click.ClickException(
                f"not finished after {seconds} s. Ask again: eyas status {answer.body['id']}"
            )
    elif answer.status in _FUNCTION_ERRORS and "invocation_id" in (answer.body or {}):
        raise click.ClickException(
            f"{answer.body['detail']} (eyas logs --id {answer.body['invocation_id']})"
        )
    else:
        raise common.refuse(answer)
