"""Pages of AWS's lists: `MaxItems`, and a marker that says where the next page begins."""

from collections.abc import Sequence
from typing import Any

from runtime.web.aws.errors import LambdaError, failed_validation
from runtime.web.exchange import Request

_LONGEST_MARKER = 10  # digits


def max_items(req: Request, *, default: int, most: int, least: int = 1) -> int:
    """Return how many items a page may have; raises `LambdaError` if it is no such number."""
    text = req.get_param("MaxItems")
    if text is None:
        return default
    number = int(text) if text.isdecimal() and len(text) < len(str(most * 10)) else None
    if number is None or number > most:
        raise failed_validation(text, "maxItems", f"have value less than or equal to {most}")
    if number < least:
        raise failed_validation(text, "maxItems", f"have value greater than or equal to {least}")
    return number


def page_of(
    items: Sequence[Any], *, marker: str | None, size: int
) -> tuple[Sequence[Any], str | None]:
    """Return a page of items that keep their order, and the next one's marker; None at the end.

    A marker is how many come before. Raises `LambdaError` for one that none was.
    """
    first = int(marker) if marker and marker.isdecimal() and len(marker) < _LONGEST_MARKER else 0
    if marker and str(first) != marker:
        raise LambdaError("InvalidParameterValueException", f"Invalid marker: {marker}")
    after = first + size
    return items[first:after], str(after) if after < len(items) else None
