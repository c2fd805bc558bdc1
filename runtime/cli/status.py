"""`eyas status`."""

import json
import urllib.parse

import click

from runtime.cli import common

_OK = 200
_SHOWN = (
    "function",
    "status",
    "trigger",
    "attempt",
    "accepted_at",
    "started_at",
    "finished_at",
    "queue_wait_ms",
    "run_ms",
)


@click.command()
@click.argument("invocation_id", metavar="ID")
@click.option("--wait", is_flag=True, help="Wait until it is finished.")
@click.option(
    "--seconds", default=60, show_default=True, type=click.IntRange(1), help="How long to wait."
)
@click.option("--json", "as_json", is_flag=True, help="Print the whole record as JSON.")
@common.url_option
def status(*, invocation_id: str, wait: bool, seconds: int, as_json: bool, url: str | None) -> None:
    """Show what became of the invocation ID."""
    answer = common.request(
        url,
        f"/invocations/{urllib.parse.quote(invocation_id, safe='', errors='surrogateescape')}",
        wait_seconds=seconds if wait else None,
    )
    if answer.status != _OK:
        raise common.refuse(answer)
    record = answer.body
    if as_json:
        click.echo(json.dumps(record, indent=2, ensure_ascii=False))
        return
    for name in _SHOWN:
        if record[name] is not None:
            click.echo(f"{name:<14} {record[name]}")
    click.echo(f"{'payload':<14} {common.pretty(record['payload'])}")
    if "result" in record:
        click.echo(f"{'result':<14} {common.pretty(record['result'])}")
    if "error" in record:
        error = record["error"]
        click.echo(f"{'error':<14} {error['type']}: {error['message']}")
        for frame in error["stack_trace"]:
            click.echo(frame.rstrip("\n"))
