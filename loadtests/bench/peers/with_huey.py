"""huey: processes; takes a task off the queue before the work."""

from huey import RedisHuey

from loadtests.bench.peers import peer
from loadtests.bench.peers.peer import URL, Peer

huey = RedisHuey("bench", url=URL)


@huey.task()
def fib(number: int) -> list[int]:
    """Run as a task."""
    return peer.fib(number)


PEER = Peer(
    enqueue=lambda number: fib(number).id,
    result=lambda task_id: huey.result(task_id, blocking=True, timeout=10, preserve=True),
)
