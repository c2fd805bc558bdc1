"""The workers of the peers, two processes each, set up as their documentation says."""

from collections.abc import Callable
from typing import Any

from loadtests.bench.drains import Drain
from loadtests.bench.processes import PEERS_REDIS5


def _celery(asking: Any, total: int) -> int:
    return total - int(asking.llen("celery")) - int(asking.hlen("unacked"))


def _left(command: str, key: str) -> Callable[[Any, int], int]:
    """Count what is finished by what is left under a key."""
    return lambda asking, total: total - int(asking.execute_command(command, key))


def _kept(command: str, key: str) -> Callable[[Any, int], int]:
    """Count what is finished by the results under a key."""
    return lambda asking, _total: int(asking.execute_command(command, key))


def _taskiq(asking: Any, _total: int) -> int:
    # One key a result, and the queue while it is not empty.
    return int(asking.dbsize()) - int(asking.exists("taskiq"))


CELERY = Drain(
    name="stock Celery prefork, acks_late",
    module="celery",
    command=("celery", "--app={module}", "worker", "--concurrency=2", "--loglevel=WARNING"),
    finished=_celery,
    first_total=2000,
    environment=None,
)
OTHERS = (
    Drain(
        name="dramatiq, 2 processes of 4 threads",
        module="dramatiq",
        command=("dramatiq", "{module}", "--processes=2", "--threads=4"),
        finished=_left("HLEN", "dramatiq:default.msgs"),
        first_total=4000,
    ),
    Drain(
        name="rq",
        module="rq",
        command=("rq", "worker", "--url={url}", "--logging_level=WARNING"),
        finished=_kept("ZCARD", "rq:finished:default"),
        first_total=200,
        times=2,
    ),
    Drain(
        name="huey, not acknowledged",
        module="huey",
        command=("huey_consumer", "{module}.huey", "--worker-type=process", "--workers=2"),
        finished=_kept("HLEN", "huey.results.bench"),
        first_total=4000,
    ),
    Drain(
        name="arq",
        module="arq",
        command=("arq", "{module}.WorkerSettings"),
        finished=_left("ZCARD", "arq:queue"),
        first_total=3000,
        times=2,
        environment=PEERS_REDIS5,
    ),
    Drain(
        name="taskiq, not acknowledged",
        module="taskiq",
        command=("taskiq", "worker", "{module}:broker", "--workers=2", "--log-level=WARNING"),
        finished=_taskiq,
        first_total=6000,
    ),
    Drain(
        name="saq",
        module="saq",
        command=("saq", "{module}.settings", "--workers=2"),
        finished=_left("ZCARD", "saq:default:incomplete"),
        first_total=3000,
        environment=PEERS_REDIS5,
    ),
)
