"""`eyas check`."""

import os
import sys

import click

from runtime import json_text
from runtime.cli import common
from runtime.errors import BrokerUnavailableError, EyasError, SettingsError
from runtime.logs.render import escape
from runtime.registry import Registry
from runtime.scheduler.reconciler import Search
from runtime.settings import Settings
from runtime.store import Store, claims, is_listening, upkeep
from runtime.store.upkeep import Census

_REPLY_SECONDS = 5.0


@click.command()
def check() -> None:
    """Check settings and functions as the processes do at start, and say what runs.

    With a broker that answers, also prove that no invocation is lost: every accepted one is in
    exactly one status, and everything that is not finished is somewhere.

    Exits with status 1 if something would keep a function from running, if an invocation is lost,
    or if there is a broker that did not answer in time. A stack that does not run is no error.
    """
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        for problem in error.problems:
            click.echo(escape(f"setting    {problem}"))
        sys.exit(1)
    click.echo("settings   ok")
    failed = _check_functions(settings)
    problems = _check_stack(settings)
    if failed:
        click.echo(f"{failed} module(s) failed; the other functions run.", err=True)
    for problem in problems:
        click.echo(escape(problem), err=True)
    if failed or problems:
        sys.exit(1)


def _check_functions(settings: Settings) -> int:
    """Print what the functions folder holds; return how many of its modules failed."""
    json_text.limit_integer_digits(settings.max_integer_digits)
    try:
        registry = Registry.discover(settings.functions_dir)
    except EyasError as error:
        click.echo(escape(f"functions  {error}"))
        sys.exit(1)
    named = f"{len(registry)} in {settings.functions_dir}: {', '.join(registry)}"
    click.echo(escape(f"functions  {named}"))
    for failed in registry.failed:
        click.echo(escape(f"failed     {failed.module} ({failed.path}): {failed.error}"))
        for line in failed.traceback.rstrip("\n").split("\n"):
            click.echo("  " + escape(line))
    return len(registry.failed)


def _check_stack(settings: Settings) -> list[str]:
    """Print what runs and where invocations are; return what is wrong with that."""
    if not is_listening(settings.broker_url):
        click.echo("stack      not running: there is no broker")
        return []
    store = Store(settings.broker_url, reply_seconds=_REPLY_SECONDS)
    try:
        workers = store.run(claims.count_consuming())
        census = store.run(upkeep.take_census())
        lost = Search(store=store).lost()
    except BrokerUnavailableError as error:
        click.echo("stack      there is a broker, but it could not be asked")
        return [f"not proven: {error}"]
    finally:
        store.close()
    click.echo(
        f"stack      the broker answers, {workers} worker(s) take messages, {_web(settings)}"
    )
    _show(census)
    problems = census.problems()
    if lost:
        problems.append(
            f"{len(lost)} invocation(s) are nowhere, {lost[0].id} for one; a running scheduler "
            "queues them again"
        )
    if not problems:
        accepted = sum(counted["accepted"] for counted in census.functions.values())
        click.echo(f"conserved  all {accepted} accepted invocations are accounted for, 0 lost")
    return [f"not conserved: {problem}" for problem in problems]


def _web(settings: Settings) -> str:
    try:
        common.request(settings.web_url, "/healthz")
    except click.ClickException:
        return f"no web at {settings.web_url}"
    return f"web answers at {settings.web_url}"


def _show(census: Census) -> None:
    rows = [(escape(name), counted) for name, counted in sorted(census.functions.items())]
    if rows:
        headings = list(rows[0][1])
        width = max(len("function"), *(len(name) for name, _ in rows))
        click.echo(f"\n{'function':<{width}}" + "".join(f"{name:>11}" for name in headings))
        for name, counted in rows:
            numbers = "".join(f"{counted[heading]:>11}" for heading in headings)
            click.echo(f"{name:<{width}}{numbers}")
        click.echo()
    places = ", ".join(
        f"{name.replace('_', ' ')} {number}" for name, number in census.places.items() if number
    )
    click.echo(f"places     {places or 'nothing waits or runs'}")
