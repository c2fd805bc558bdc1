"""`eyas top`."""

import sys
import time
from collections import deque
from collections.abc import Sequence

import click

from runtime.cli import common, output, screen, shapes
from runtime.cli.activity import TIMES_SECONDS, activities
from runtime.cli.readings import Reading, read
from runtime.cli.top_view import render

_OK = 200
_REFRESH_SECONDS = 1.0
_ANSWER_SECONDS = 5.0
_PLAIN_WIDTH = 120


@click.command()
@click.option("--once", is_flag=True, help="Print what there is to see once, as plain text.")
@common.url_option
def top(*, once: bool, url: str | None) -> None:
    """Watch what runs: of each function rates, what waits and runs, and how long that takes.

    It is refreshed each second; q or Ctrl-C ends it. Rates are of the last 5 seconds, times of the
    last minute. Without a terminal, and with --once, it is printed once: then rates are of one
    second, and times of all that was counted.
    """
    url = url or common.settings().web_url
    try:
        if once or not sys.stdout.isatty():
            with output.until_unread():
                _print_once(url)
        else:
            _watch(url)
    except KeyboardInterrupt:
        sys.exit(0)


def _print_once(url: str) -> None:
    readings = [_read(url)]
    time.sleep(_REFRESH_SECONDS)
    readings.append(_read(url))
    known = [reading for reading in readings if reading.is_broker_up]
    lines = render(
        source=url,
        reading=readings[-1],
        activities=activities(known, times_since_start=True) if known else (),
        width=_PLAIN_WIDTH,
    )
    for line in lines:
        output.print_line(line)


def _watch(url: str) -> None:
    latest = _read(url)
    readings = deque([latest] if latest.is_broker_up else ())
    complaint = ""
    with screen.opened() as shown:
        while True:
            shown.draw(_lines(url, latest, tuple(readings), complaint, shown.size()))
            if "q" in shown.keys(within_seconds=_REFRESH_SECONDS).lower():
                return
            try:
                latest, complaint = _read(url), ""
            except click.ClickException as error:
                complaint = error.message
                continue
            if latest.is_broker_up:
                readings.append(latest)
            while readings and readings[0].at < latest.at - TIMES_SECONDS:
                readings.popleft()


def _lines(
    url: str,
    latest: Reading,
    readings: Sequence[Reading],
    complaint: str,
    size: tuple[int, int],
) -> list[str]:
    width, height = size
    return render(
        source=f"{url}  q quits",
        reading=latest,
        activities=activities(readings) if readings else (),
        width=width,
        height=height,
        complaint=complaint,
    )


def _read(url: str) -> Reading:
    """Ask the stack; raises `click.ClickException`."""
    listed = common.request(url, "/functions", answer_seconds=_ANSWER_SECONDS)
    if listed.status != _OK:
        raise common.refuse(listed)
    names = [one["name"] for one in common.checked(listed, shapes.Functions)["functions"]]
    with common.asked(url, "/metrics", seconds=_ANSWER_SECONDS) as (base, answer):
        if answer.status != _OK:
            raise common.refuse(common.answer_of(base, answer))
        metrics = answer.read()
    try:
        return read(metrics.decode(), functions=names, at=time.monotonic())
    except ValueError:
        raise common.not_eyas(base, "/metrics has none of its metrics") from None
