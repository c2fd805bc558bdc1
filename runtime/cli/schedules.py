"""`eyas schedules`."""

from typing import Any

import click
import msgspec

from runtime.cli import common, output, shapes
from runtime.logs.render import escape

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
    listed = _sent(url, "GET", "", shape=shapes.Schedules)["schedules"]
    if as_json:
        click.echo(output.json_text({"schedules": listed}, indent=2))
        return
    width = max((len(one["name"]) for one in listed), default=0)
    for one in listed:
        line = f"{one['name']:<{width}}  {_times(one)}  {_next(one)}  {_last(one)}"
        click.echo(escape(line))
    if not listed:
        click.echo("No function has a schedule: it gets one with @function(schedule=...).")


@schedules.command()
@click.argument("name", metavar="NAME")
@common.url_option
def run(*, name: str, url: str | None) -> None:
    """Run a function now, as its schedule would; print the invocation's id."""
    ran = _sent(url, "POST", f"/{common.quoted(name)}/run", shape=shapes.Accepted)
    click.echo(escape(ran["id"]))


@schedules.command()
@click.argument("name", metavar="NAME")
@common.url_option
def pause(*, name: str, url: str | None) -> None:
    """Let a function not run by itself any more, until it is resumed."""
    _sent(url, "POST", f"/{common.quoted(name)}/pause", shape=shapes.Schedule)
    click.echo("paused")


@schedules.command()
@click.argument("name", metavar="NAME")
@common.url_option
def resume(*, name: str, url: str | None) -> None:
    """Let a function run by itself again, at its times from now on."""
    resumed = _sent(url, "POST", f"/{common.quoted(name)}/resume", shape=shapes.Schedule)
    click.echo(escape(_next(resumed)))


def _sent(url: str | None, method: str, path: str, *, shape: type[msgspec.Struct]) -> Any:
    answer = common.request(url, f"/schedules{path}", method=method)
    if answer.status not in _SUCCESSES:
        raise common.refuse(answer)
    return common.checked(answer, shape)


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
