"""Nothing grows with the number of requests but the queue: 300,000 of them in the long form.

EYAS_CHAOS=long make test ARGS=tests/chaos/test_soak.py
"""

import http.client
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from runtime.testing import Stack

FUNCTIONS = Path(__file__).parent.parent / "sample_functions"
IS_LONG = os.environ.get("EYAS_CHAOS") == "long"
REQUESTS = 300_000 if IS_LONG else 6_000
CLIENTS = 8
MOST_BYTES_A_REQUEST = 16
SLACK_BYTES = 6_000_000


@pytest.mark.timeout(3600 if IS_LONG else 120)
def test_enqueueing_leaves_memory_and_buffers_flat() -> None:
    with Stack(functions_dir=FUNCTIONS, processes=("broker", "web")) as stack:
        stack.wait_for(lambda: stack.request("/functions/nested", body=b"1").status == 202, "web")
        warm_up = REQUESTS // 3
        enqueue(stack, warm_up)
        before = resident_bytes(stack.running["web"].pid)

        enqueue(stack, REQUESTS - warm_up)

        grown = resident_bytes(stack.running["web"].pid) - before
        with redis.Redis.from_url(stack.redis_url) as connection:
            clients = connection.client_list()
            queued = connection.llen("celery")
        buffered = sum(int(one["omem"]) + int(one["qbuf"]) for one in clients)
        print(
            f"{REQUESTS} requests: web grew by {grown} bytes; {len(clients)} connections "
            f"to the broker with {buffered} bytes in buffers"
        )
        assert queued == REQUESTS + 1
        assert grown < SLACK_BYTES + MOST_BYTES_A_REQUEST * REQUESTS
        assert buffered < 1_000_000
        assert len(clients) < 80


def enqueue(stack: Stack, count: int) -> None:
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda _: enqueue_alone(stack, count // CLIENTS), range(CLIENTS)))


def enqueue_alone(stack: Stack, count: int) -> None:
    connection = http.client.HTTPConnection(urlsplit(stack.url).netloc, timeout=30)
    for _ in range(count):
        connection.request("POST", "/functions/nested", b"1")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 202
    connection.close()


def resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024
