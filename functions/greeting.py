"""A handler as it is written for AWS Lambda: its body needs no change to run here."""

from typing import Any

from runtime import Context, function


@function(name="greeting", timeout=10)
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Greet `name` in the shape an API Gateway integration returns."""
    name = event.get("name", "World")
    return {
        "statusCode": 200,
        "body": f"Hello, {name}!",
        "requestId": context.aws_request_id,
    }
