"""What is known about an invocation that was lost: the place of its message, and its log lines."""

from collections.abc import Iterator
from pathlib import Path

import redis

from runtime.testing import Stack

_LINES = 20
_OWN_QUESTIONS = '"route":"/invocations/{invocation_id}"'


def log_lines(stack: Stack, invocation_id: str) -> Iterator[str]:
    """Yield the last lines of all logs that name an invocation, but not those of asking for it."""
    for path in sorted(stack.log_dir.glob("*.log*")):
        named = (line for line in _lines(path) if invocation_id in line)
        lines = [line for line in named if _OWN_QUESTIONS not in line]
        yield from (f"{path.name}: {line}" for line in lines[-_LINES:])


def places(stack: Stack, invocation_id: str) -> list[str]:
    """Return the broker's keys that hold the id: in their name, a member, a value or a message."""
    wanted = invocation_id.encode()
    with redis.Redis.from_url(stack.redis_url) as client:
        try:
            keys = [
                k for k in client.scan_iter(count=1000) if wanted in k or _holds(client, k, wanted)
            ]
        except redis.ConnectionError as error:
            return [str(error)]
    return sorted(key.decode() for key in keys)


def _holds(client: redis.Redis, key: bytes, wanted: bytes) -> bool:
    match client.type(key):
        case b"list":
            return any(wanted in text for text in client.lrange(key, 0, -1))
        case b"hash" if not key.startswith(b"eyas:invocation:"):
            return any(wanted in text for pair in client.hgetall(key).items() for text in pair)
        case b"zset":
            return client.zscore(key, wanted) is not None
        case b"set":
            return any(wanted in member for member in client.smembers(key))
    return False


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()
