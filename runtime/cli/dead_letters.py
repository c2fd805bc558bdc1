"""`eyas dead-letters`."""

import urllib.parse
from typing import Any

import click
import msgspec

from runtime.cli import common, output, record, shapes
from runtime.logs.render import escape

_NO_CONTENT = 204
_SUCCESSES = (200, 202, _NO_CONTENT)
_PAGE = 100
_BULK_SECONDS = 600.0  # for as many as there are

_function_option = click.option("--function", metavar="NAME", help="Only those of this function.")
_all_option = click.option("--all", "is_all", is_flag=True, help="All of them, or of --function.")


@click.group("dead-letters", invoke_without_command=True)
@_function_option
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(1), help="How many to list."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@common.url_option
@click.pass_context
def dead_letters(
    ctx: click.Context, *, function: str | None, limit: int, as_json: bool, url: str | None
) -> None:
    """List what was given up, the latest first; show it, run it again, or forget it.

    \b
      eyas dead-letters --function fib
      eyas dead-letters show ID
      eyas dead-letters redrive ID
      eyas dead-letters purge --all --function fib
    """  # noqa: D301  click reads the backspace
    if ctx.invoked_subcommand is not None:
        return
    listed, has_more = _list(url, function=function, limit=limit)
    if as_json:
        click.echo(output.json_text({"dead_letters": listed}, indent=2))
        return
    for letter in listed:
        summary = record.summary(letter["error"])
        line = f"{letter['id']}  {letter['reason']:<16}  {letter['function']}  {summary}"
        click.echo(escape(line))
    if not listed:
        click.echo("There are no dead letters.")
    if has_more:
        click.echo(f"There are more: --limit {2 * limit}", err=True)


@dead_letters.command()
@click.argument("invocation_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print the whole record as JSON.")
@common.url_option
def show(*, invocation_id: str, as_json: bool, url: str | None) -> None:
    """Show one dead letter."""
    letter = _sent(url, "GET", f"/{common.quoted(invocation_id)}", shape=shapes.DeadLetter)
    if as_json:
        click.echo(output.json_text(letter, indent=2))
    else:
        record.show(letter)


@dead_letters.command()
@click.argument("invocation_id", metavar="[ID]", required=False)
@_all_option
@_function_option
@common.url_option
def redrive(
    *, invocation_id: str | None, is_all: bool, function: str | None, url: str | None
) -> None:
    """Run dead letters again, under their ids."""
    _check_choice(invocation_id, is_all=is_all, function=function)
    if invocation_id is not None:
        path = f"/{common.quoted(invocation_id)}/redrive"
        click.echo(_sent(url, "POST", path, shape=shapes.State)["status"])
    else:
        path = f"/redrive{_query(function=function)}"
        answer = _sent(url, "POST", path, shape=shapes.Redriven, seconds=_BULK_SECONDS)
        click.echo(f"{answer['redriven']} queued again")


@dead_letters.command()
@click.argument("invocation_id", metavar="[ID]", required=False)
@_all_option
@_function_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@common.url_option
def purge(
    *, invocation_id: str | None, is_all: bool, function: str | None, yes: bool, url: str | None
) -> None:
    """Forget dead letters, and what they were given."""
    _check_choice(invocation_id, is_all=is_all, function=function)
    which = invocation_id or (f"all dead letters of {function}" if function else "all dead letters")
    if not yes:
        click.confirm(f"Forget {which}?", abort=True)
    if invocation_id is not None:
        _sent(url, "DELETE", f"/{common.quoted(invocation_id)}", shape=None)
        click.echo("forgotten")
    else:
        query = _query(function=function)
        answer = _sent(url, "DELETE", query, shape=shapes.Purged, seconds=_BULK_SECONDS)
        click.echo(f"{answer['purged']} forgotten")


def _list(
    url: str | None, *, function: str | None, limit: int
) -> tuple[list[dict[str, Any]], bool]:
    """Return up to `limit` dead letters, and whether there may be more."""
    listed: list[dict[str, Any]] = []
    cursor = None
    while len(listed) < limit:
        query = _query(function=function, limit=min(_PAGE, limit - len(listed)), cursor=cursor)
        page = _sent(url, "GET", query, shape=shapes.DeadLetters)
        listed += page["dead_letters"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    return listed, cursor is not None


def _sent(
    url: str | None,
    method: str,
    path: str,
    *,
    shape: type[msgspec.Struct] | None,
    seconds: float = 5.0,
) -> Any:
    answer = common.request(url, f"/dead-letters{path}", method=method, answer_seconds=seconds)
    if answer.status not in _SUCCESSES:
        raise common.refuse(answer)
    if shape is None and answer.status != _NO_CONTENT:
        raise common.not_eyas(answer.base, f"HTTP status {answer.status}, expected no content")
    return common.checked(answer, shape) if shape else None


def _query(**members: str | int | None) -> str:
    given = {name: value for name, value in members.items() if value is not None}
    return f"?{urllib.parse.urlencode(given)}" if given else ""


def _check_choice(invocation_id: str | None, *, is_all: bool, function: str | None) -> None:
    if (invocation_id is None) != is_all or (function is not None and not is_all):
        raise click.UsageError("give either an ID, or --all, perhaps with --function NAME")
