"""A handler that waits without working: user code of the stack that is measured."""

import asyncio

from runtime import function


@function(timeout=60)
async def pause(seconds: float) -> float:
    """Return after so many seconds, and say how many that were."""
    await asyncio.sleep(seconds)
    return seconds
