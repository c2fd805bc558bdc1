"""`python -m benchmarks.stock_celery`: what SIGKILL of a worker costs stock Celery, and Eyas.

    python -m benchmarks.stock_celery --kills 12 --seed 7

The same test twice, one side after the other. A stock producer keeps 3,000 short tasks waiting; the
worker's parent process is killed at random moments and started again at once. Then everything is
left to run until every task has executed, or until none did for 15 seconds while the broker held no
message. The side of stock Celery has `acks_late`, `reject_on_worker_lost` and a visibility timeout
of 5 seconds; both have two pool processes.

accepted
    `send_task` returned.
lost
    Never executed, says the file to which every execution appends a line.
kills with a loss
    After how many kills a task was missing.
executed twice
    The task ran to its end more than once.
slowest recovery
    The longest time from a kill until a task started in a new pool process.

Exit status: 1 if Eyas lost one, else 0.
"""

import argparse
import random
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.stock_celery.attack import Attack
from benchmarks.stock_celery.sides import Eyas, StockCelery
from tests.chaos.blame import Blame
from tests.chaos.ledger import Ledger
from tests.chaos.report import table

_HEADINGS = (
    "SIGKILL of the worker of",
    "kills",
    "accepted",
    "lost",
    "kills with a loss",
    "executed twice",
    "slowest recovery (s)",
)
_KILLS = 12
_say = partial(print, flush=True)


def main() -> int:
    """Read the command line, run both sides, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stock_celery",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kills", type=int, default=_KILLS)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given = parser.parse_args()
    _say(f"seed {given.seed}")
    rows, lost = [], 0
    for side in (StockCelery, Eyas):
        row, lost = _measure(side, kills=given.kills, seed=given.seed)
        _say(f"{row[0]}: {lost:,} lost")
        rows.append(row)
    _say(table(_HEADINGS, rows))
    return 1 if lost else 0


def _measure(
    make_side: type[StockCelery | Eyas], *, kills: int, seed: int
) -> tuple[list[str], int]:
    """Return a row of the table, and how many tasks never executed."""
    with tempfile.TemporaryDirectory(prefix="ledger-") as folder:
        path = Path(folder) / "ledger"
        ledger = Ledger(path)
        with make_side(path) as side:
            attack = Attack(side, ledger, random.Random(seed))  # noqa: S311  repeatable, not secret
            attack.run(kills)
    blame = Blame(kills=attack.kills, accepted=attack.accepted, ledger=ledger)
    lost = [sent for sent in attack.accepted if not ledger.ends(sent.id)]
    losing = {id(blame.loss(sent)) for sent in lost}
    twice = sum(1 for sent in attack.accepted if len(ledger.ends(sent.id)) > 1)
    slowest = max(kill.recovered_at - kill.at for kill in attack.kills if kill.recovered_at)
    numbers = [len(attack.kills), len(attack.accepted), len(lost), len(losing), twice]
    return [side.name, *(f"{number:,}" for number in numbers), f"{slowest:.2f}"], len(lost)


if __name__ == "__main__":
    sys.exit(main())
