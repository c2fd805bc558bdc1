"""`eyas tail`."""

import sys
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import click

from runtime.cli import common, output, record, shapes
from runtime.cli.durations import in_words, local
from runtime.cli.event_source import events
from runtime.logs.render import escape

_STATUSES = ("queued", "running", "retrying", "succeeded", "failed", "cancelled", "expired")
_PAUSE_SECONDS = 2.0

_RESET = "\x1b[0m"
_DIM = "\x1b[2m"
_COLORS = {
    "running": "\x1b[36m",
    "retrying": "\x1b[33m",
    "succeeded": "\x1b[32m",
    "failed": "\x1b[31m",
    "cancelled": "\x1b[33m",
    "expired": "\x1b[31m",
}


def _statuses(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    for status in (value or _STATUSES[0]).split(","):
        if status not in _STATUSES:
            raise click.BadParameter(f"{status!r} is none of {', '.join(_STATUSES)}")
    return value


@click.command()
@click.option("--function", metavar="NAME", help="Only this function.")
@click.option(
    "--status",
    metavar="S,...",
    callback=_statuses,
    help=f"Only changes to one of these: {', '.join(_STATUSES)}.  [default: the last four]",
)
@click.option("--all", "is_all", is_flag=True, help="Every change of a status, not only the ends.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object on each line.")
@common.url_option
def tail(
    *, function: str | None, status: str | None, is_all: bool, as_json: bool, url: str | None
) -> None:
    """Print a line for each invocation as it ends, until Ctrl-C.

    They are told by the running stack, from now on. When it is away, it is waited for; a line says
    that something may have been missed.

    \b
      eyas tail                          what ends, whichever way
      eyas tail --status failed          what goes wrong
      eyas tail --function fib --all     everything that becomes of fib
    """  # noqa: D301  click reads the backspace
    if is_all and status:
        raise click.UsageError("--all is every status: leave out --status")
    asked = {"function": function, "status": ",".join(_STATUSES) if is_all else status}
    query = urllib.parse.urlencode({name: value for name, value in asked.items() if value})
    has_colors = output.has_colors()
    try:
        with output.until_unread():
            for change in _changes(url, f"/changes?{query}"):
                if as_json:
                    output.print_bytes(output.json_text(change).encode())
                else:
                    output.print_line(line_of(change, has_colors=has_colors))
    except KeyboardInterrupt:
        sys.exit(0)


def _changes(url: str | None, path: str) -> Iterator[dict[str, Any]]:
    """Yield changes; end when nobody reads our output any more."""
    has_listened = False
    while True:
        try:
            for event in events(url, path, shapes={"status": shapes.Change}):
                match event.type if event else None:
                    case "status" if event:
                        yield event.data
                    case "listening":
                        _say("listening again" if has_listened else "listening; Ctrl-C ends it")
                        has_listened = True
                    case "missed":
                        _say("what changed while the broker was away is not shown")
                if output.is_unread(within_seconds=0):
                    return
        except click.ClickException as error:
            if not has_listened:
                raise
            _say(f"{error.message} Trying again.")
        else:
            _say("the stream has ended; trying again. What changes meanwhile is not shown")
        time.sleep(_PAUSE_SECONDS)


def _say(text: str) -> None:
    click.echo(f"({text})", err=True)


def line_of(change: Mapping[str, Any], *, has_colors: bool = False) -> str:
    """Return the line about a change, as `GET /changes` tells it."""

    def colored(text: str, color: str) -> str:
        return f"{color}{text}{_RESET}" if has_colors and color else text

    status = change["status"]
    parts = [
        colored(_clock(change), _DIM),
        colored(f"{escape(status):<9}", _COLORS.get(status, "")),
        escape(change["function"]),
        escape(change["id"]),
    ]
    if change["attempt"] > 1:
        parts.append(f"attempt {change['attempt']}")
    is_over = change["finished_at"] is not None
    if is_over and change["run_ms"] is not None:
        parts.append(colored(f"ran {in_words(change['run_ms'] / 1000)}", _DIM))
    if status == "running" and change["queue_wait_ms"] is not None:
        parts.append(colored(f"waited {in_words(change['queue_wait_ms'] / 1000)}", _DIM))
    if change.get("error") and (is_over or status == "retrying"):
        parts.append(record.summary(change["error"]))
    return "  ".join(parts)


def _clock(change: Mapping[str, Any]) -> str:
    """Return when it happened, in local time; for what does not say so, now."""
    text = change["finished_at"] or (change["status"] == "running" and change["started_at"])
    at = local(text) if text else datetime.now().astimezone()
    return f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}"
