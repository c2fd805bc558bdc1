"""saq: asynchronous; acknowledges after the work."""

from typing import Any

from saq import Queue

from loadtests.bench.peers import peer
from loadtests.bench.peers.peer import RESULT_SECONDS, URL, Peer

queue = Queue.from_url(URL)


async def fib(_context: dict[str, Any], *, number: int) -> list[int]:
    """Run as a job."""
    return peer.fib(number)


settings = {"queue": queue, "functions": [fib]}


async def _open() -> None:
    await queue.connect()
    # Every worker sweeps when it starts, and thereby aborts jobs that others are just taking: two
    # of them lose jobs of a queue that is full already. This holds the lock for a minute.
    await queue.sweep(lock=60)


async def _enqueue(number: int) -> str:
    job = await queue.enqueue("fib", number=number, ttl=RESULT_SECONDS)
    return str(job.id)


async def _result(job_id: str) -> object:
    job = await queue.job(queue.job_key_from_id(job_id))
    return job.result if job else None


PEER = Peer(enqueue=_enqueue, result=_result, is_async=True, open_=_open)
