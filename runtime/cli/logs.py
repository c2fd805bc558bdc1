"""`eyas logs`: the log lines of all processes, in one stream."""

import os
import re
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from runtime.cli import common, output
from runtime.cli.log_groups import grouped, lines
from runtime.errors import EyasError, SettingsError
from runtime.logs.files import families
from runtime.logs.reader import LEVEL_NAMES, LogFilter, follow, read
from runtime.logs.record import LogRecord
from runtime.logs.render import render
from runtime.settings import Settings

_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_INTERRUPTED = 128 + signal.SIGINT


class _Since(click.ParamType[datetime]):
    """A length of time before now, or a point in time."""

    name = "when"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            if match := re.fullmatch(r"(\d+)([smhd])", value):
                return datetime.now(UTC) - timedelta(
                    seconds=int(match[1]) * _UNIT_SECONDS[match[2]]
                )
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is neither a length of time such as 30s, 10m, 2h or 1d "
                "nor a time such as 2026-01-31T12:30:00Z",
                param,
                ctx,
            )


@click.command(short_help="Show the logs of all processes.")
@click.option(
    "-f", "--follow", "is_following", is_flag=True, help="Wait for new lines; end it with Ctrl-C."
)
@click.option(
    "--id",
    "identifier",
    metavar="ID",
    help="Only this invocation or request; 8 characters are enough if no other id begins so.",
)
@click.option("--function", metavar="NAME", help="Only this function.")
@click.option(
    "--level",
    type=click.Choice(LEVEL_NAMES, case_sensitive=False),
    help="Only lines of this level and above.",
)
@click.option(
    "--since",
    type=_Since(),
    metavar="WHEN",
    help="Only lines since then: 30s, 10m, 2h or 1d ago, or a time such as 2026-01-31T12:30:00Z.",
)
@click.option(
    "--json",
    "is_json",
    is_flag=True,
    help="Print what is in the files: one JSON object per line, with all fields.",
)
@click.option(
    "--group",
    "is_grouped",
    is_flag=True,
    help="Print the lines of each invocation together, with the time since its first one.",
)
def logs(
    *,
    is_following: bool,
    identifier: str | None,
    function: str | None,
    level: str | None,
    since: datetime | None,
    is_json: bool,
    is_grouped: bool,
) -> None:
    """Show what all processes have logged, in the order of time.

    The lines come from the log files and their older copies, in the folder that the setting
    EYAS_LOG_DIR names (logs, if it is not set). The options can be combined.

    \b
      eyas logs --follow                    watch everything that happens
      eyas logs --id 1b9d6bcd               what happened to one invocation
      eyas logs --level error --since 1h    what went wrong in the last hour
      eyas logs --group --since 5m          the latest invocations, one by one
    """  # noqa: D301  click reads the backspace
    if is_grouped and (is_following or is_json):
        raise click.UsageError("--group goes neither with --follow nor with --json")
    wanted = LogFilter(id=identifier, function=function, level=level, since=since)
    try:
        with output.until_unread():
            log_dir = Settings.from_environment(os.environ).log_dir
            if not is_following and not families(log_dir):
                raise common.failure(_no_files(log_dir))
            records: Iterator[LogRecord]
            if is_following:
                records = follow(log_dir, filter=wanted, stop=_ReaderGone())
            else:
                records = read(log_dir, filter=wanted)
            printed_count = (
                _print_groups(records) if is_grouped else _print(records, is_json=is_json)
            )
            if identifier and not printed_count and not is_following:
                raise common.failure(f"no line in {log_dir} has the id {identifier!r}")
    except SettingsError as error:
        raise common.failure("; ".join(error.problems)) from error
    except EyasError as error:
        raise common.failure(str(error)) from error
    except OSError as error:
        raise common.failure(f"cannot read the logs: {error}") from error
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


class _ReaderGone:
    """Ends `--follow` when nobody reads our output any more, even if nothing more is logged."""

    def wait(self, timeout: float) -> bool:
        return output.is_unread(within_seconds=timeout)


def _print(records: Iterator[LogRecord], *, is_json: bool) -> int:
    """Print log records as they come, and return how many there were."""
    count = 0
    has_colors = output.has_colors()
    day = datetime.now().astimezone().date()
    for count, record in enumerate(records, start=1):  # noqa: B007  the last one is returned
        if is_json:
            line = output.visible_json(record.line.decode("utf-8", "backslashreplace"))
            output.print_bytes(line.encode())
        else:
            day, heading = _heading(record, day)
            output.print_line(heading + render(record.fields, has_colors=has_colors))
    return count


def _print_groups(records: Iterator[LogRecord]) -> int:
    """Print log records by invocation, and return how many there were."""
    count = 0
    for group in grouped(records):
        count += len(group.records)
        for line in lines(group, has_colors=output.has_colors()):
            output.print_line(line)
    return count


def _heading(record: LogRecord, day: date) -> tuple[date, str]:
    """Return the day of a record, and a line that says so if it is another one than before."""
    new_day = record.timestamp.astimezone().date()
    return new_day, "" if new_day == day else f"--- {new_day:%A, %Y-%m-%d} ---\n"


def _no_files(log_dir: Path) -> str:
    return (
        f"no log files in {log_dir.absolute()}. They appear there when Eyas is started from "
        "this folder; EYAS_LOG_DIR names another place"
    )
