"""The two sides: a worker of stock Celery, and Eyas; each on a broker of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol, Self

import redis

from benchmarks.stock_celery.application import BROKER_VARIABLE
from runtime.testing import Stack
from tests.chaos.run import FUNCTIONS
from tests.chaos.supervisor import children_of

POOL_PROCESSES = 2
_QUEUE, _UNACKED = "celery", "unacked"


class Side(Protocol):
    """A context manager: a broker, and a worker that can be killed and started again."""

    name: str
    stack: Stack

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

    def pool(self) -> list[int]:
        """Return the process ids of the pool."""

    def kill_worker(self) -> None:
        """Kill the worker's parent process with SIGKILL, and start a new one."""

    def holds_messages(self) -> bool:
        """Tell whether the broker holds any message, as far as that can be told from outside."""


class StockCelery:
    """`celery worker` with two prefork processes."""

    name = "stock Celery 5.7"

    def __init__(self, ledger: Path) -> None:
        self._environment = {"CHAOS_LEDGER": str(ledger)}
        self.stack = Stack(functions_dir=FUNCTIONS, processes=("broker",))

    def __enter__(self) -> Self:
        self.stack.__enter__()
        self.stack.wait_for(self._answers, "the broker")
        self._worker = self._start_worker()
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.send_signal(signal.SIGTERM)
        try:
            self._worker.wait(20)
        finally:
            self._worker.kill()
            self._worker.wait()
            self.stack.__exit__()

    def pool(self) -> list[int]:
        return children_of(self._worker.pid)

    def kill_worker(self) -> None:
        self._worker.kill()
        self._worker.wait()
        self._worker = self._start_worker()

    def holds_messages(self) -> bool:
        with redis.Redis.from_url(self.stack.redis_url) as client:
            return bool(client.exists(_QUEUE, _UNACKED))

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.stack.redis_url) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    def _start_worker(self) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            **self._environment,
            BROKER_VARIABLE: self.stack.redis_url,
        }
        with (self.stack.folder / "celery.out").open("ab") as output:
            return subprocess.Popen(
                [
                    *[sys.executable, "-m", "celery", "-A", "benchmarks.stock_celery.application"],
                    *["worker", "--pool=prefork", f"--concurrency={POOL_PROCESSES}"],
                    *["--without-gossip", "--without-mingle", "--loglevel=ERROR"],
                ],
                cwd=Path(__file__).parents[2],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


class Eyas:
    """A stack, of which only the worker is killed."""

    name = "Eyas"

    def __init__(self, ledger: Path) -> None:
        environment = {"EYAS_WORKERS": str(POOL_PROCESSES), "CHAOS_LEDGER": str(ledger)}
        self.stack = Stack(functions_dir=FUNCTIONS, environment=environment)

    def __enter__(self) -> Self:
        self.stack.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.__exit__()

    def pool(self) -> list[int]:
        return children_of(self.stack.running["worker"].pid)

    def kill_worker(self) -> None:
        self.stack.kill("worker")
        self.stack.start("worker")

    def holds_messages(self) -> bool:
        counts: dict[str, Any] = self.stack.request("/functions/fast").body["counts"]
        return any(counts.get(status) for status in ("queued", "running", "retrying", "scheduled"))
