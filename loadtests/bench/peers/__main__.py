"""`python -m loadtests.bench.peers NAME enqueue COUNT NUMBER` and `... NAME results`.

The first queues, and prints some ids as JSON. The second reads ids as JSON from standard input, and
prints their results.
"""

import asyncio
import importlib
import inspect
import json
import sys
from typing import Any

from loadtests.bench.peers.peer import Peer

_KEPT = 10


async def main(name: str, command: str, *arguments: str) -> None:
    """Run one command."""
    peer = load(name)
    await peer.open_()
    if command == "enqueue":
        count, number = map(int, arguments)
        ids = [await _value(peer.enqueue(number)) for _ in range(count)]
        print(json.dumps([*ids[:_KEPT], *ids[-_KEPT:]]))
    else:
        print(json.dumps([await _value(peer.result(one)) for one in json.load(sys.stdin)]))


def load(name: str) -> Peer:
    """Return what a peer's module defines."""
    peer: Peer = importlib.import_module(f"loadtests.bench.peers.with_{name}").PEER
    return peer


async def _value(given: Any) -> Any:
    return await given if inspect.isawaitable(given) else given


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
