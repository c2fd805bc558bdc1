"""Celery: prefork, acknowledged late; everything else as it is by default."""

import celery

from loadtests.bench.peers import peer
from loadtests.bench.peers.peer import RESULT_SECONDS, URL, Peer

app = celery.Celery("bench", broker=URL, backend=URL)
app.conf.update(
    task_acks_late=True,
    broker_connection_retry_on_startup=True,
    result_expires=RESULT_SECONDS,
)


@app.task(name="fib")
def fib(number: int) -> list[int]:
    """Run as a task."""
    return peer.fib(number)


PEER = Peer(
    enqueue=lambda number: fib.delay(number).id,
    result=lambda task_id: app.AsyncResult(task_id).get(timeout=10),
)
