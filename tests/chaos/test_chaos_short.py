"""The short form of `make chaos`: see `tests/chaos/__main__.py`."""

from runtime.testing import Stack
from tests.chaos.faults import faults_of
from tests.chaos.run import FUNCTIONS, Options, run


def test_no_accepted_invocation_is_lost_whatever_is_killed() -> None:
    said: list[str] = []

    outcome = run(Options(kills=12, seed=1), say=said.append)

    assert outcome.problems() == [], "\n".join(said)
    assert len(outcome.kills) == 12
    assert {kill.fault for kill in outcome.kills} == set(faults_of(Stack(functions_dir=FUNCTIONS)))
    assert len(outcome.judged) > 300, "too little load to prove anything"
