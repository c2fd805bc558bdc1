"""`eyas check`."""

import os
import sys

import click

from runtime import json_text
from runtime.errors import EyasError, SettingsError
from runtime.registry import Registry
from runtime.settings import Settings
from runtime.store import is_reachable


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
    running = is_reachable(settings.broker_url)
    click.echo(
        f"broker     {'answers' if running else 'does not answer (the stack is not running)'}"
    )
    if problems:
        click.echo(f"{problems} module(s) failed; the other functions run.", err=True)
        sys.exit(1)
