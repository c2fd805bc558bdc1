"""A record, for people."""

from collections.abc import Mapping
from typing import Any

import click

from runtime.cli import output
from runtime.logs.render import escape

_SHOWN = (
    "function",
    "status",
    "reason",
    "dead_letter",
    "trigger",
    "replay_of",
    "attempt",
    "max_attempts",
    "accepted_at",
    "due_at",
    "started_at",
    "finished_at",
    "queue_wait_ms",
    "run_ms",
)


_LONGEST_SUMMARY = 200
_STACK_INDENT = "    | "


def show(record: Mapping[str, Any]) -> None:
    """Print the members that say something, one on each line, the stack trace last."""
    for name in _SHOWN:
        if record.get(name) is not None:
            click.echo(f"{name:<14} {escape(str(record[name]))}")
    for name in ("payload", "progress", "result"):
        if name in record and (name != "progress" or record[name] is not None):
            click.echo(f"{name:<14} {output.pretty(record[name])}")
    if "error" in record:
        error = record["error"]
        said = escape(f"{error['type']}: {error['message']}")
        click.echo(f"{'error':<14} {said}")
        for frame in error["stack_trace"]:
            for line in frame.rstrip("\n").split("\n"):
                click.echo(_STACK_INDENT + escape(line))


def summary(error: Mapping[str, Any]) -> str:
    """Return type and message of a function error on one line; a long one loses its end."""
    text = f"{error['type']}: {error['message']}".strip()
    line = text.partition("\n")[0][:_LONGEST_SUMMARY]
    return escape(line) + ("" if line == text else "…")
