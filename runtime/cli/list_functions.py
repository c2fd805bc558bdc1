"""`eyas list`."""

import click

from runtime.cli import common, output
from runtime.logs.render import escape
from runtime.registry import Registry


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def list_functions(*, as_json: bool) -> None:
    """List the functions of the functions folder, and the modules that failed."""
    registry = Registry.discover(common.settings().functions_dir)
    if as_json:
        listed = {
            "functions": [
                function.to_json() | function.schemas() for function in registry.values()
            ],
            "failed": [failed.to_json() for failed in registry.failed],
        }
        click.echo(output.json_text(listed, indent=2))
        return
    width = max((len(name) for name in registry), default=0)
    for function in registry.values():
        summary = function.description.partition("\n")[0]
        click.echo(f"{function.name:<{width}}  {escape(summary)}")
    if not registry and not registry.failed:
        click.echo("There are no functions yet: `eyas new NAME` writes one.")
    for failed in registry.failed:
        click.echo(escape(f"{failed.module} failed: {failed.error}"), err=True)
    if registry.failed:
        click.echo("`eyas check` shows the tracebacks.", err=True)
