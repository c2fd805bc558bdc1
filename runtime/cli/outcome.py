"""What `invoke` and `replay` print: an id, or what came of it."""

import time

import click

from runtime.cli import common

_OK = 200
_ACCEPTED = 202
_FUNCTION_ERRORS = (500, 504)


def show(answer: common.Answer, *, url: str | None, until: float | None) -> None:
    """Print the id that was accepted; with `until` (monotonic), wait and print the result.

    Raises `click.ClickException` for a refusal, a function error, and a wait that was too short.
    """
    body = answer.body
    if answer.status == _OK:
        click.echo(common.pretty(body["result"]))
    elif answer.status == _ACCEPTED and until is None:
        click.echo(body["id"])
    elif answer.status == _ACCEPTED and until is not None:
        _show_record(body["id"], url=url, until=until)
    elif answer.status in _FUNCTION_ERRORS and "invocation_id" in (body or {}):
        raise click.ClickException(f"{body['detail']} (eyas logs --id {body['invocation_id']})")
    else:
        raise common.refuse(answer)


def _show_record(invocation_id: str, *, url: str | None, until: float) -> None:
    answer = common.follow(url, invocation_id, seconds=until - time.monotonic())
    if answer.status != _OK:
        raise common.refuse(answer)
    record = answer.body
    if record["status"] == "succeeded":
        click.echo(common.pretty(record["result"]))
    elif "error" in record and record["finished_at"] is not None:
        error = record["error"]
        raise click.ClickException(
            f"{error['type']}: {error['message']} (eyas logs --id {invocation_id})"
        )
    else:
        click.echo(invocation_id)
        raise click.ClickException(
            f"not finished in time, but {record['status']}. Ask again: eyas status {invocation_id}"
        )
