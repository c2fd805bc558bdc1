"""A record, for people."""

from typing import Any

import click

from runtime.cli import common

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


def show(record: dict[str, Any]) -> None:
    """Print the members that say something, one on each line, the stack trace last."""
    for name in _SHOWN:
        if record.get(name) is not None:
            click.echo(f"{name:<14} {record[name]}")
    for name in ("payload", "progress", "result"):
        if name in record and (name != "progress" or record[name] is not None):
            click.echo(f"{name:<14} {common.pretty(record[name])}")
    if "error" in record:
        error = record["error"]
        click.echo(f"{'error':<14} {error['type']}: {error['message']}")
        for frame in error["stack_trace"]:
            click.echo(frame.rstrip("\n"))
