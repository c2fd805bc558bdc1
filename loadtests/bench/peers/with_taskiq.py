"""taskiq: asynchronous, the list broker: takes a task off the queue before the work."""

from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

from loadtests.bench.peers import peer
from loadtests.bench.peers.peer import RESULT_SECONDS, URL, Peer

RESULTS = "bench"
broker = ListQueueBroker(URL).with_result_backend(
    RedisAsyncResultBackend(URL, result_ex_time=RESULT_SECONDS, prefix_str=RESULTS)
)


@broker.task
async def fib(number: int) -> list[int]:
    """Run as a task."""
    return peer.fib(number)


async def _enqueue(number: int) -> str:
    task = await fib.kiq(number)
    return str(task.task_id)


async def _result(task_id: str) -> object:
    result = await broker.result_backend.get_result(task_id)
    return result.return_value


PEER = Peer(enqueue=_enqueue, result=_result, is_async=True, open_=broker.startup)
