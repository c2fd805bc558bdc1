"""One run: load, kill, let everything run to its end, judge."""

import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from runtime.testing import Stack
from tests.chaos import report
from tests.chaos.faults import Fault, Kill, carry_out, faults_of, plan, recovered_at
from tests.chaos.ledger import Ledger
from tests.chaos.load import Load
from tests.chaos.report import Outcome
from tests.chaos.supervisor import Supervisor
from tests.chaos.verdict import judge_all

FUNCTIONS = Path(__file__).parent / "chaos_functions"
_EXECUTORS = 4
_BURST = (20, 200)
_BACKLOG = 200
_BACKLOG_SECONDS = 30.0
_LONGEST_PAUSE_SECONDS = 0.6
_LONGEST_BETWEEN_TWO_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a run can be told."""

    kills: int
    seed: int
    recovery_seconds: float = 60.0
    drain_seconds: float = 90.0


def run(options: Options, say: Callable[[str], None] = print) -> Outcome:
    """Carry out a run on a stack of its own; `say` gets the lines that it prints."""
    say(f"seed {options.seed}")
    started_at = monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        path = Path(folder) / "ledger"
        environment = {"EYAS_WORKERS": str(_EXECUTORS), "CHAOS_LEDGER": str(path)}
        with Stack(functions_dir=FUNCTIONS, environment=environment) as stack:
            attack = _Attack(stack, options, Ledger(path), say)
            attack.run()
            judged = judge_all(
                attack.load.accepted,
                attack.supervisor,
                attack.ledger,
                seconds=options.drain_seconds,
            )
            outcome = Outcome(
                seed=options.seed,
                seconds=monotonic() - started_at,
                kills=attack.kills,
                judged=judged,
                ledger=attack.ledger,
                unknown=attack.load.unknown,
                unexpected=attack.load.unexpected,
                exits=attack.supervisor.exits,
            )
            say(report.text(outcome))
            for line in report.losses(outcome, stack):
                say(line)
    return outcome


class _Attack:
    """Kills, one episode after the other, while clients send."""

    def __init__(
        self, stack: Stack, options: Options, ledger: Ledger, say: Callable[[str], None]
    ) -> None:
        self.kills: list[Kill] = []
        self.ledger = ledger
        self.load = Load(stack, options.seed)
        self.supervisor = Supervisor(stack)
        self._options = options
        self._random = random.Random(options.seed)  # noqa: S311  repeatable, not secret
        self._say = say

    def run(self) -> None:
        """Kill as planned."""
        faults = faults_of(self.supervisor.stack)
        with self.load:
            for episode in plan(self._options.kills, faults, self._random):
                self._carry_out(episode)

    def _carry_out(self, episode: tuple[Fault, ...]) -> None:
        # On a slow machine, recoveries would otherwise be times that invocations wait in the queue.
        self.supervisor.wait_for(lambda: self._backlog() < _BACKLOG, seconds=_BACKLOG_SECONDS)
        self.load.burst(self._random.randint(*_BURST))
        pauses = [_LONGEST_PAUSE_SECONDS, *[_LONGEST_BETWEEN_TWO_SECONDS] * len(episode[1:])]
        kills = []
        for fault, longest in zip(episode, pauses, strict=True):
            self.supervisor.pause(self._random.uniform(0, longest))
            kills.append(
                carry_out(
                    fault,
                    alone=len(episode) == 1,
                    supervisor=self.supervisor,
                    load=self.load,
                    ledger=self.ledger,
                    own=self._random,
                )
            )
        self.kills += kills
        for kill in kills:
            self._wait_for_recovery(kill)

    def _backlog(self) -> int:
        self.ledger.read()
        return len(self.load.accepted) - len(self.ledger.ended)

    def _wait_for_recovery(self, kill: Kill) -> None:
        def is_recovered() -> bool:
            kill.recovered_at = recovered_at(kill, self.load, self.ledger)
            return kill.recovered_at is not None

        self.supervisor.wait_for(is_recovered, seconds=self._options.recovery_seconds)
        seconds = "never" if kill.recovered_at is None else f"{kill.recovered_at - kill.at:5.2f} s"
        number = self.kills.index(kill) + 1
        self._say(
            f"{number:4}/{self._options.kills}  {kill.fault:<16} recovered: {seconds}  "
            f"accepted so far: {len(self.load.accepted):,}"
        )
