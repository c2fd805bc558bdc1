"""The options of `python -m loadtests.bench`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests.options import above, whole

_ROUNDS, _QUICK_ROUNDS = 5, 3
_SECONDS, _QUICK_SECONDS = 4.0, 3.0
_REPORT, _QUICK_REPORT = Path("reports/bench"), Path("reports/bench-quick")
_EPILOG = """\
exit status: 0 every limit that was measured holds, 1 at least one does not, 2 nothing was measured.
Whatever else runs on this machine is measured too: compare ratios, and only those of one run.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything that a run can be told."""

    only: tuple[str, ...]
    is_quick: bool
    rounds: int
    seconds: float
    soak_seconds: float
    depth: int
    report: Path
    keeps: bool
    against: Path | None
    publishes: bool


def parse(arguments: Sequence[str], groups: Sequence[str], quick: Sequence[str]) -> Options:
    """Read the command line; exits with status 2 when it is wrong.

    `groups` are the names of what can be measured, `quick` those that `--quick` measures.
    """
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.bench",
        description="Compare the stack with its peers, side by side, on this machine.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--only", metavar="GROUPS", help=f"separated by commas, of: {', '.join(groups)}")
    add(
        "--quick",
        action="store_true",
        help="the bare Falcon application and stock Celery only, and shorter",
    )
    add("--rounds", type=whole(1), help=f"how often ({_ROUNDS}; quick: {_QUICK_ROUNDS})")
    add("--seconds", type=above(0), help=f"one load ({_SECONDS:g}; quick: {_QUICK_SECONDS:g})")
    add("--soak-seconds", type=above(0), default=60.0, help="the group `soak` (%(default)s)")
    add("--depth", type=whole(1000), default=1_000_000, help="a deep queue (%(default)s)")
    add("--report", type=Path, help=f"a folder ({_REPORT}; quick: {_QUICK_REPORT})")
    add(
        "--against",
        type=_checkout,
        metavar="FOLDER",
        help="accept and drain: beside the stack of another checkout, for what a change costs",
    )
    add("--keep", action="store_true", help="keep what the folder has of groups not measured now")
    add("--publish", action="store_true", help="write docs/benchmarks.md and docs/images too")
    given = parser.parse_args(arguments)
    chosen = tuple(given.only.split(",")) if given.only else tuple(quick if given.quick else groups)
    unknown = [name for name in chosen if name not in groups]
    if unknown:
        parser.error(f"no group {', '.join(unknown)}; there are {', '.join(groups)}")
    return Options(
        only=chosen,
        is_quick=given.quick,
        rounds=given.rounds or (_QUICK_ROUNDS if given.quick else _ROUNDS),
        seconds=given.seconds or (_QUICK_SECONDS if given.quick else _SECONDS),
        soak_seconds=given.soak_seconds,
        depth=given.depth,
        report=given.report or (_QUICK_REPORT if given.quick else _REPORT),
        keeps=given.keep,
        against=given.against,
        publishes=given.publish,
    )


def _checkout(text: str) -> Path:
    folder = Path(text).resolve()
    if not (folder / "Procfile").is_file():
        raise argparse.ArgumentTypeError(f"{text}: a checkout has a Procfile, and this has none")
    return folder
