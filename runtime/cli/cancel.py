"""`eyas cancel`."""

import click

from runtime.cli import common, shapes

_ACCEPTED = 202


@click.command()
@click.argument("invocation_id", metavar="ID")
@common.url_option
def cancel(*, invocation_id: str, url: str | None) -> None:
    """Cancel the invocation ID: if it waits it never runs, if it runs it is stopped."""
    answer = common.request(url, f"/invocations/{common.quoted(invocation_id)}", method="DELETE")
    if answer.status != _ACCEPTED:
        raise common.refuse(answer)
    is_over = common.checked(answer, shapes.State)["status"] == "cancelled"
    click.echo("cancelled" if is_over else "it runs, and is being stopped")
