"""rq: a process for every job; acknowledges after the work."""

import rq
import rq.job
from redis import Redis

from loadtests.bench.peers import peer
from loadtests.bench.peers.peer import RESULT_SECONDS, URL, Peer

connection = Redis.from_url(URL)
queue = rq.Queue(connection=connection)


def fib(number: int) -> list[int]:
    """Run as a job."""
    return peer.fib(number)


PEER = Peer(
    enqueue=lambda number: queue.enqueue(fib, number, result_ttl=RESULT_SECONDS).id,
    result=lambda job_id: rq.job.Job.fetch(job_id, connection=connection).return_value(),
)
