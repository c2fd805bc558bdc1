from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from runtime.store import is_reachable
from runtime.testing import Stack

# How long an example takes says something of the machine, and nothing of what is tested.
hypothesis.settings.register_profile(
    "busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy")

SAMPLE_FUNCTIONS = Path(__file__).parent / "sample_functions"


@pytest.fixture(scope="session")
def sample_stack() -> Iterator[Stack]:
    """A private stack that runs the functions which misbehave."""
    environment = {
        "EYAS_WORKERS": "2",
        # Somebody else's: Celery would prefer it to ours.
        "CELERY_BROKER_URL": "redis://127.0.0.1:9/0",
        "CELERY_RESULT_BACKEND": "redis://127.0.0.1:9/0",
        "EYAS_MAX_PAYLOAD_BYTES": "100000",
        "EYAS_MAX_WAITED_PAYLOAD_BYTES": "200000",
        "EYAS_MAX_RESULT_BYTES": "300000",
    }
    with Stack(functions_dir=SAMPLE_FUNCTIONS, environment=environment) as stack:
        yield stack


@pytest.fixture(scope="session")
def broker() -> Iterator[Stack]:
    """A private broker, and nothing else."""
    with Stack(functions_dir=SAMPLE_FUNCTIONS, processes=("broker",)) as stack:
        stack.wait_for(lambda: _answers(stack), "the broker")
        yield stack


def _answers(stack: Stack) -> bool:
    return is_reachable(stack.redis_url)
