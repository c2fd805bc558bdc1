"""`eyas status`."""

import click

from runtime.cli import common, output, record

_OK = 200


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
    answer = common.follow(url, invocation_id, seconds=seconds if wait else 0)
    if answer.status != _OK:
        raise common.refuse(answer)
    if as_json:
        click.echo(output.json_text(answer.body, indent=2))
    else:
        record.show(answer.body)
