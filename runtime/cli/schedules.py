"""`eyas schedules`."""

import json
from typing import Any

import click

from runtime.cli import common

_SUCCESSES = (200, 202)


@click.group("schedules", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@common.url_option
@click.pass_context
def schedules(ctx: click.Context, *, as_json: bool, url: str | None) -> None:
    """List when functions run by themselves; run one now, pause it, resume it.

    \b
      eyas schedules
      eyas schedules run NAME
      eyas schedules pause NAME
      eyas schedules resume NAME
    """  # noqa: D301  click reads the backspace
    if ctx.invoked_subcommand is not None:
        return
    listed = _sent(url, "GET", "")["schedules"]
    if as_json:
        click.echo(json.dumps({"schedules": listed}, indent=2, ensure_ascii=False))
        return
    width = max((len(one["name"]) for one in listed), default=0)
    for one in listed:
        click.echo(f"{one['name']:<{width}}  {_times(one)}  {_next(one)}  {_last(one)}")
    if not listed:
        click.echo("No function has a schedule: it gets one with @function(schedule=...).")


@schedules.command()
@click.argument("name", metavar="NAME")
@common.url_option
def run(*, name: str, url: str | None) -> None:
    """Run a function now, as its schedule would; print the invocation's id."""
    click.echo(_sent(url, "POST", f"/{common.quoted(name)}/run")["id"])


@schedules.command()
@click.argument("name", metavar="NAME")
@common.url_option
def pause(*, name: str, url: str | None) -> None:
    """Let a function not run by itself any more, until it is resumed."""
    _sent(url, "POST", f"/{common.quoted(name)}/pause")
    click.echo("paused")


@schedules.command()
@click.argument("name", metavar="NAME")
@common.url_option
def resume(*, name: str, url: str | None) -> None:
    """Let a function run by itself again, at its times from now on."""
    click.echo(_next(_sent(url, "POST", f"/{common.quoted(name)}/resume")))


def _sent(url: str | None, method: str, path: str) -> Any:
    answer = common.request(url, f"/schedules{path}", method=method)
    if answer.status not in _SUCCESSES:
        raise common.refuse(answer)
    return answer.body


def _times(one: dict[str, Any]) -> str:
    if "every" in one:
        return f"every {one['every']:g} s"
    return f"{one['schedule']} ({one['timezone']})"


def _next(one: dict[str, Any]) -> str:
    if one["paused"]:
        return "paused"
    return f"next {one['next_run_at']}" if one["next_run_at"] else "no scheduler has seen it yet"


def _last(one: dict[str, Any]) -> str:
    return f"last {one['last_run_at']}" if one["last_run_at"] else "has not run yet"
