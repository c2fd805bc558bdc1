"""`async def`: wait for several servers at once."""

import asyncio
import time
from typing import Annotated

from msgspec import Meta, Struct

from runtime import Context, function

Address = Annotated[str, Meta(pattern=r"^[^:\s]+:\d{1,5}$", description="host:port")]
_PAUSE_SECONDS = 0.1


class Port(Struct):
    """Whether a server accepted a connection in time, and after how many seconds."""

    address: str
    open: bool
    seconds: float


@function(timeout=60)
async def wait_for_ports(
    addresses: Annotated[list[Address], Meta(min_length=1, max_length=50)],
    context: Context,
    *,
    within_seconds: Annotated[float, Meta(gt=0, le=55)] = 30,
) -> list[Port]:
    """Wait until each address accepts TCP connections, for at most `within_seconds`."""
    started = time.monotonic()
    deadline = started + min(within_seconds, context.remaining_seconds())

    async def wait(address: str) -> Port:
        host, _, port = address.rpartition(":")
        accepted = await _accepts(host, int(port), deadline)
        return Port(address=address, open=accepted, seconds=round(time.monotonic() - started, 3))

    return await asyncio.gather(*map(wait, addresses))


async def _accepts(host: str, port: int, deadline: float) -> bool:
    while (left := deadline - time.monotonic()) > 0:
        try:
            async with asyncio.timeout(left):
                _, writer = await asyncio.open_connection(host, port)
        except (OSError, OverflowError):
            await asyncio.sleep(min(_PAUSE_SECONDS, left))
        else:
            writer.close()
            return True
    return False
