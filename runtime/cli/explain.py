"""`eyas explain`."""

from datetime import UTC, datetime

import click

from runtime.cli import common, shapes
from runtime.cli.explanation import explain as explained
from runtime.logs.render import escape

_OK = 200


@click.command()
@click.argument("invocation_id", metavar="ID")
@common.url_option
def explain(*, invocation_id: str, url: str | None) -> None:
    """Tell the story of the invocation ID: what happened, why, and what happens next."""
    answer = common.request(url, f"/invocations/{common.quoted(invocation_id)}")
    if answer.status != _OK:
        raise common.refuse(answer)
    record = common.checked(answer, shapes.Record)
    ready = common.request(url, "/readyz")
    workers = common.checked(ready, shapes.Ready)["workers"] if ready.status == _OK else 0
    for sentence in explained(record, now=_now(url), workers=workers):
        click.echo(escape(sentence))


def _now(url: str | None) -> datetime:
    """Return the time of the clock of invocations: an emulator's may be ahead."""
    clock = common.request(url, "/_emulator/clock")
    if clock.status == _OK:
        return datetime.fromisoformat(common.checked(clock, shapes.Clock)["now"])
    return datetime.now(UTC)
