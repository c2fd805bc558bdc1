"""Pages of AWS's lists: how many items they may have."""

from runtime.web.aws.errors import failed_validation
from runtime.web.exchange import Request


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
