"""`python -m loadtests.bench`: compare, print the table, and judge."""

import signal
import sys
from types import FrameType

from loadtests.bench.groups import (
    accept,
    concurrency,
    deep,
    drain,
    idle,
    soak,
    starting,
    waited,
    waiting,
)
from loadtests.bench.options import parse
from loadtests.bench.run import run

_GROUPS = {
    "accept": accept.measure,
    "drain": drain.measure,
    "wait": waited.measure,
    "depth": deep.measure,
    "concurrency": concurrency.measure,
    "waiting": waiting.measure,
    "idle": idle.measure,
    "start": starting.measure,
    "soak": soak.measure,
}
_QUICK = ("accept", "drain")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    # As Ctrl-C does: processes are stopped on the way out.
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(run(parse(sys.argv[1:], [*_GROUPS], _QUICK), _GROUPS))
