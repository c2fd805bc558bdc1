"""What the steps that end invocations need to queue those that tell of the end.

They are invocations of two functions of the runtime: `eyas.callback` tells a URL, and
`eyas.destination` a destination.
"""

from functools import cache

from runtime import message
from runtime.invocation import Invocation

CALLBACK = "eyas.callback"
DESTINATION = "eyas.destination"
"""The functions; no user can give these names to one."""

RETRIES = 14
MAX_AGE_SECONDS = 86_400.0
TIMEOUT_SECONDS = 60.0
"""Longer than all that is limited by itself: what runs beside one is killed with it."""

# In place of a kind, an id and a `traceparent`, in `shared.lua`.
_KIND = "TELL-KIND"
_ID = "TELL-ID"
_TRACE = "TELL-TRACE"


@cache
def arguments() -> tuple[bytes | int | float, ...]:
    """Return what `shared.lua` takes: the message, of which both kinds are made, and the policy."""
    invocation = Invocation(
        id=_ID,
        function=f"eyas.{_KIND}",
        payload=b"",
        trigger=_KIND,
        timeout_seconds=TIMEOUT_SECONDS,
        trace_parent=_TRACE,
    )
    return message.encode(invocation, None), RETRIES, MAX_AGE_SECONDS
