"""What the steps that end invocations need to queue callbacks: invocations that tell of the end."""

from functools import cache

from runtime import message
from runtime.invocation import Invocation

FUNCTION = "eyas.callback"
"""The function that carries them out; no user can give this name to one."""

RETRIES = 14
MAX_AGE_SECONDS = 86_400.0
TIMEOUT_SECONDS = 60.0
"""Longer than all that is limited by itself: what runs beside one is killed with it."""

_ID = "CALLBACK-ID"


@cache
def arguments() -> tuple[bytes | int | float, ...]:
    """Return what `shared.lua` takes: the message, and the policy.

    The id in the message is to be replaced.
    """
    invocation = Invocation(
        id=_ID,
        function=FUNCTION,
        payload=b"",
        trigger="callback",
        timeout_seconds=TIMEOUT_SECONDS,
    )
    return message.encode(invocation, None), RETRIES, MAX_AGE_SECONDS
