"""`eyas cancel`."""

import click

from runtime.cli import common

_ACCEPTED = 202


@click.command()
@click.argument("invocation_id", metavar="ID")
@common.url_option
def cancel(*, invocation_id: str, url: str | None) -> None:
    """Cancel the invocation ID: if it waits it never runs, if it runs it is stopped."""
    answer = common.request(url, f"/invocations/{common.quoted(invocation_id)}", method="DELETE")
    if answer.status != _ACCEPTED:
        raise common.refuse(answer)
    is_over = answer.body["status"] == "cancelled"
    click.echo("cancelled" if is_over else "it runs, and is being stopped")
