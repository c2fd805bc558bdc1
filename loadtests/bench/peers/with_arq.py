"""arq: asynchronous; acknowledges after the work."""

from typing import Any

from arq import create_pool
from arq.connections import RedisSettings
from arq.jobs import Job

from loadtests.bench.peers import peer
from loadtests.bench.peers.peer import PORT, RESULT_SECONDS, Peer

_SETTINGS = RedisSettings(port=PORT)
_pools: list[Any] = []


async def fib(_context: dict[str, Any], number: int) -> list[int]:
    """Run as a job."""
    return peer.fib(number)


class WorkerSettings:
    """What `arq` reads."""

    functions = (fib,)
    redis_settings = _SETTINGS
    keep_result = RESULT_SECONDS
    # The fastest settings of those tried: by default it looks twice a second for 10 jobs.
    max_jobs = 100
    poll_delay = 0.01


async def _open() -> None:
    _pools.append(await create_pool(_SETTINGS))


async def _enqueue(number: int) -> str:
    job = await _pools[0].enqueue_job("fib", number)
    return str(job.job_id)


async def _result(job_id: str) -> object:
    return await Job(job_id, _pools[0]).result(timeout=10)


PEER = Peer(enqueue=_enqueue, result=_result, is_async=True, open_=_open)
