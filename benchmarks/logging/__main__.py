"""`python -m benchmarks.logging`: microseconds for one log line.

    python -m benchmarks.logging --rounds 25

Every way of logging writes the same `request.finished` line, 2,048 times, in turn with the others;
that is one round. The table shows the median of all rounds, the best one, and the median in units
of "ours, by turns of 8". A turn of 8 is an event loop that logs 8 lines before it looks for what is
new. `bound` is a logger that was bound once and is not looked up for every line. The console is a
pipe that `cat` reads, and has more lines than it shows, as under load.
"""

import argparse
import gc
import os
import platform
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.logging.sides import Write, sides

_LINE_COUNT = 2_048
_UNIT = "ours, by turns of 8"
_say = partial(print, flush=True)


def main() -> int:
    """Read the command line, measure, and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.logging",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=25)
    given = parser.parse_args()
    times: dict[str, list[float]] = {side.name: [] for side in sides()}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(given.rounds):
            for side in sides():
                with side.use(Path(folder)) as write:
                    times[side.name].append(_microseconds_per_line(write))
    unit = statistics.median(times[_UNIT])
    _say(f"{'one line, in microseconds':<38} {'median':>8} {'best':>8} {'ratio':>8}")
    for name, measured in times.items():
        median = statistics.median(measured)
        _say(f"{name:<38} {median:>8.2f} {min(measured):>8.2f} {median / unit:>8.2f}")
    _say(f"\nPython {platform.python_version()}, {os.cpu_count()} cores, {given.rounds} rounds")
    return 0


def _microseconds_per_line(write: Write) -> float:
    write(_LINE_COUNT)  # the first use of a logger, of a file, and of what a console shows whole
    gc.collect()
    started = time.perf_counter()
    write(_LINE_COUNT)
    return (time.perf_counter() - started) / _LINE_COUNT * 1e6


if __name__ == "__main__":
    sys.exit(main())
