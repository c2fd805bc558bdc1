"""What `invoke` and `replay` print: an id, or what came of it."""

import time

import click

from runtime.cli import common, output, shapes
from runtime.logs.render import escape

_OK = 200
_ACCEPTED = 202
_FUNCTION_ERRORS = (500, 504)


def show(answer: common.Answer, *, url: str | None, until: float | None) -> None:
    """Print the id that was accepted; with `until` (monotonic), wait and print the result.

    Raises `click.ClickException` for a refusal, a function error, and a wait that was too short.
    """
    body = answer.body
    if answer.status == _OK:
        click.echo(output.pretty(common.checked(answer, shapes.Result)["result"]))
    elif answer.status == _ACCEPTED:
        invocation_id = common.checked(answer, shapes.Accepted)["id"]
        if until is None:
            click.echo(escape(invocation_id))
        else:
            _show_record(invocation_id, url=url, until=until)
    elif answer.status in _FUNCTION_ERRORS and isinstance(body, dict) and "invocation_id" in body:
        common.checked(answer, shapes.Unsuccessful)
        raise common.failure(f"{body['detail']} (eyas logs --id {body['invocation_id']})")
    else:
        raise common.refuse(answer)


def _show_record(invocation_id: str, *, url: str | None, until: float) -> None:
    answer = common.follow(url, invocation_id, seconds=until - time.monotonic())
    if answer.status != _OK:
        raise common.refuse(answer)
    record = answer.body
    if record["status"] == "succeeded":
        click.echo(output.pretty(record["result"]))
    elif "error" in record and record["finished_at"] is not None:
        error = record["error"]
        raise common.failure(
            f"{error['type']}: {error['message']} (eyas logs --id {invocation_id})"
        )
    else:
        click.echo(escape(invocation_id))
        raise common.failure(
            f"not finished in time, but {record['status']}. Ask again: eyas status {invocation_id}"
        )
