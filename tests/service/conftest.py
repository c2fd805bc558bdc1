"""A broker and web without a worker: a test acts as the worker, one exact step after another."""

import gc
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis

from runtime import json_text
from runtime.invocation import Status
from runtime.message import QUEUE, id_in
from runtime.policy import DeadLetterReason
from runtime.settings import Settings
from runtime.store import Store, claims, is_reachable, lifecycle
from runtime.store.claims import Claim
from runtime.testing import Stack
from tests.store_bench import Bench

MODULE = '''
from runtime import function
from typing import Any


@function
def echo(event: Any) -> Any:
    """Return the payload."""
    return event


@function(retries=3, backoff=2, backoff_max=60, timeout=20, soft_timeout=15, max_age=90,
          concurrency=4)
def limited(number: int) -> int:
    """Have every option."""
    return number
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class ActingWorker:
    """A worker whose every step the test decides."""

    store: Store
    name: str = "acting"
    settings: Settings = field(default_factory=lambda: Settings.from_environment({}))

    def take(self) -> tuple[Claim, str]:
        """Claim the oldest message; return the claim and the invocation's id."""
        claimed = self.store.run(claims.claim(self.name, queues=[QUEUE], room=1))
        if claimed.tickets:
            return claimed.tickets[0].held, claimed.tickets[0].id
        ((held, message),) = claimed.messages
        return held, id_in(message) or ""

    def start(self) -> tuple[Claim, str]:
        """Claim the oldest message and start its attempt."""
        held, invocation_id = self.take()
        started = self.store.run(
            lifecycle.start(held, invocation_id, concurrency=None, max_deliveries=5)
        )
        assert started.verdict is lifecycle.Verdict.RUN
        return held, invocation_id

    def succeed(self, result: Any) -> str:
        """Run the oldest message to a result; return the invocation's id."""
        held, invocation_id = self.start()
        self.store.run(
            lifecycle.finish(
                held,
                invocation_id,
                status=Status.SUCCEEDED,
                result=json_text.encode(result),
                celery_result=b"{}",
                retention=self.settings.retention,
            )
        )
        return invocation_id

    def give_up(
        self,
        *,
        reason: DeadLetterReason = DeadLetterReason.PERMANENT,
        error_type: str = "ValueError",
    ) -> str:
        """Run the oldest message to a function error and bury it; return the invocation's id."""
        held, invocation_id = self.start()
        error = {"type": error_type, "message": "no", "stack_trace": []}
        self.store.run(
            lifecycle.finish(
                held,
                invocation_id,
                status=Status.FAILED,
                error=json_text.encode(error),
                dead_letter=reason,
                celery_result=b"{}",
                retention=self.settings.retention,
            )
        )
        return invocation_id


@pytest.fixture(scope="session")
def _web_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("web_functions")
    (folder / "all.py").write_text(MODULE)
    environment = {
        "EYAS_MAX_BATCH": "25",
        "EYAS_MAX_BATCH_BYTES": "150000",
        "EYAS_MAX_PAYLOAD_BYTES": "100000",
        "EYAS_MAX_DELAY_SECONDS": "1000",
        "EYAS_MAX_OPEN": "30",
        "EYAS_MAX_WAIT_SECONDS": "4",
    }
    with Stack(functions_dir=folder, environment=environment, processes=("broker", "web")) as stack:
        stack.wait_for(lambda: is_reachable(stack.redis_url), "the broker")
        stack.wait_for(lambda: stack.request("/functions/echo").status == 200, "web")
        yield stack


@pytest.fixture
def web_stack(_web_stack: Stack) -> Stack:
    """A broker, empty, and web; no worker."""
    with redis.Redis.from_url(_web_stack.redis_url) as connection:
        connection.flushall()
    return _web_stack


@pytest.fixture
def acting_worker(web_stack: Stack) -> Iterator[ActingWorker]:
    store = Store(web_stack.redis_url)
    yield ActingWorker(store=store)
    store.close()


@pytest.fixture
def raw(broker: Stack) -> Iterator[redis.Redis]:
    """A connection to the broker, which is empty."""
    with redis.Redis.from_url(broker.redis_url) as connection:
        connection.flushall()
        yield connection


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """Where handlers note that they run."""
    return tmp_path / "noted"


@pytest.fixture
def bench(broker: Stack) -> Iterator[Bench]:
    bench = Bench(broker.redis_url)
    bench.raw.flushall()
    yield bench
    bench.store.close()
    bench.raw.close()


@pytest.fixture(autouse=True)
def collect_what_celery_leaves(request: pytest.FixtureRequest) -> Iterator[None]:
    """Collect the sockets that stock Celery clients leave open, lest another test get the blame."""
    yield
    if "celery" in vars(request.module):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
