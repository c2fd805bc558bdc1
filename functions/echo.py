"""The smallest function that takes any payload."""

from typing import Any

from runtime import function


@function
def echo(event: Any) -> Any:
    """Return the payload as it came."""
    return event
