"""`python -m loadtests.bench.bare_loop PORT`: the limit of what can be drained.

No Celery and no promises: claim 64 messages with one script, decode, call fib, and write the
results, publish them and let the messages go with one script; until it is told to stop.
`fill(port, count)` queues what it takes.
"""

import json
import sys
from typing import Any
from uuid import uuid4

import redis

from loadtests.bench.peers.peer import fib

QUEUE, IN_FLIGHT, RESULT = "bare:queue", "bare:in_flight", "bare:result:"
FINISHED = "bare:finished"
_BATCH = 64
_WAIT_SECONDS = 1
_TTL_SECONDS = 86400

_CLAIM = """
local messages = redis.call('LPOP', KEYS[1], ARGV[1])
if not messages then return {} end
for _, message in ipairs(messages) do
    redis.call('HSET', KEYS[2], cjson.decode(message).id, message)
end
return messages
"""
# ARGV: time to live, key prefix, then id and result of each
_FINISH = """
for i = 3, #ARGV, 2 do
    redis.call('SET', ARGV[2] .. ARGV[i], ARGV[i + 1], 'EX', ARGV[1])
    redis.call('PUBLISH', ARGV[2] .. ARGV[i], ARGV[i + 1])
    redis.call('HDEL', KEYS[1], ARGV[i])
end
redis.call('INCRBY', KEYS[2], (#ARGV - 2) / 2)
"""


def fill(port: int, count: int, *, number: int) -> list[str]:
    """Queue so many messages and return some of their ids."""
    ids = [str(uuid4()) for _ in range(count)]
    messages = [json.dumps({"id": one, "kwargs": {"number": number}}) for one in ids]
    with redis.Redis("127.0.0.1", port) as client:
        for start in range(0, count, 1000):
            client.rpush(QUEUE, *messages[start : start + 1000])
    return [*ids[:10], *ids[-10:]]


def main(port: int) -> None:
    """Drain until SIGTERM."""
    with redis.Redis("127.0.0.1", port) as client:
        claim: Any = client.register_script(_CLAIM)
        finish: Any = client.register_script(_FINISH)
        while True:
            messages = claim(keys=[QUEUE, IN_FLIGHT], args=[_BATCH])
            if not messages:
                # Waits for the next one; here it is then the first of a batch.
                client.blmove(QUEUE, QUEUE, _WAIT_SECONDS, "LEFT", "LEFT")
                continue
            done: list[str] = []
            for message in messages:
                invocation = json.loads(message)
                done += invocation["id"], json.dumps(fib(**invocation["kwargs"]))
            finish(keys=[IN_FLIGHT, FINISHED], args=[_TTL_SECONDS, RESULT, *done])


if __name__ == "__main__":
    main(int(sys.argv[1]))
