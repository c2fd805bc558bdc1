"""`eyas check`."""

import os
import sys

import click

from runtime import json_text
from runtime.cli import common
from runtime.errors import BrokerUnavailableError, EyasError, SettingsError
from runtime.registry import Registry
from runtime.settings import Settings
from runtime.store import Store, steps


def _stack(settings: Settings) -> str:
    store = Store(settings.broker_url, reply_seconds=1.0)
    try:
        workers = store.run(steps.count_workers())
    except BrokerUnavailableError:
        return "not running: the broker does not answer"
    finally:
        store.close()
    try:
        web = f"web answers at {settings.web_url}"
        common.request(settings.web_url, "/healthz")
    except click.ClickException:
        web = f"no web at {settings.web_url}"
    return f"the broker answers, {workers} worker(s) take messages, {web}"


@click.command()
def check() -> None:
    """Check settings and functions as the processes do at start, and say what runs.

    Exits with status 1 if something would keep a function from running.
    """
    problems = 0
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        for problem in error.problems:
            click.echo(f"setting    {problem}")
        sys.exit(1)
    click.echo("settings   ok")
    json_text.limit_integer_digits(settings.max_integer_digits)
    try:
        registry = Registry.discover(settings.functions_dir)
    except EyasError as error:
        click.echo(f"functions  {error}")
        sys.exit(1)
    click.echo(f"functions  {len(registry)} in {settings.functions_dir}: {', '.join(registry)}")
    for failed in registry.failed:
        problems += 1
        click.echo(f"failed     {failed.module} ({failed.path}): {failed.error}")
        click.echo("\n".join("  " + line for line in failed.traceback.splitlines()))
    click.echo(f"stack      {_stack(settings)}")
    if problems:
        click.echo(f"{problems} module(s) failed; the other functions run.", err=True)
        sys.exit(1)
