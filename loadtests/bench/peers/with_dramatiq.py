"""dramatiq: Redis broker, results kept; acknowledges after the work."""

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from loadtests.bench.peers import peer
from loadtests.bench.peers.peer import RESULT_SECONDS, URL, Peer

broker = RedisBroker(url=URL)
broker.add_middleware(Results(backend=RedisBackend(url=URL)))
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True, result_ttl=RESULT_SECONDS * 1000)
def fib(number: int) -> list[int]:
    """Run as an actor."""
    return peer.fib(number)


def _result(message_id: str) -> object:
    message = fib.message(0).copy(message_id=message_id)
    return message.get_result(block=True, timeout=10_000)


PEER = Peer(enqueue=lambda number: fib.send(number).message_id, result=_result)
