"""`eyas`: list, invoke and watch functions from a terminal.

Every command is a module of its own that is imported when it is asked for, so that `eyas --help`
does not wait for libraries that it does not use.
"""

import importlib
import sys

import click

from runtime.errors import EyasError
from runtime.logs.render import escape

_COMMANDS = {
    "cancel": "Cancel an invocation.",
    "check": "Check settings, functions and the running stack.",
    "dead-letters": "List what was given up, run it again, or forget it.",
    "event": "Print a sample event of another service.",
    "explain": "Tell the story of an invocation in sentences.",
    "invoke": "Run a function on the running stack.",
    "list": "List the functions.",
    "logs": "Show the logs of every process, in the order of time.",
    "new": "Write a new function and its test.",
    "replay": "Run an invocation once more, as a new one.",
    "schedules": "List when functions run by themselves; run one now, pause it.",
    "status": "Show what became of an invocation.",
    "tail": "Print a line for each invocation as it ends.",
    "top": "Watch functions, queue and workers, live.",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"runtime.cli.{_module(cmd_name)}")
        command: click.Command = getattr(module, _module(cmd_name))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


def _module(command: str) -> str:
    # `list` would hide the builtin.
    return {"list": "list_functions"}.get(command, command.replace("-", "_"))


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="eyas", prog_name="eyas")
def eyas() -> None:
    """Run Python functions in the background without losing one.

    Start everything with `make start`, then, in another terminal:

    \b
      eyas list
      eyas invoke fib '{"number": 10}' --wait
      eyas logs --follow
    """  # noqa: D301  click reads the backspace


def main() -> None:
    """Run the command line; an error is one line and exit status 1."""
    try:
        eyas(prog_name="eyas")
    except EyasError as error:
        click.ClickException(escape(str(error))).show()
        sys.exit(1)


if __name__ == "__main__":
    main()
