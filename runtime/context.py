"""What a handler is told about its invocation."""

import time
from dataclasses import dataclass, field
from typing import Any

import structlog


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Given to a handler in its `context` parameter.

    `invocation_id` is the same on every attempt: use it to make effects happen only once.
    `attempt` counts from 1. `log` writes lines that carry the invocation's id.
    """

    invocation_id: str
    function_name: str
    attempt: int
    timeout_seconds: float
    started_monotonic: float = field(default_factory=time.monotonic, repr=False)

    @property
    def log(self) -> Any:
        """A structlog logger: `context.log.info("image.resized", width=640)`."""
        return structlog.get_logger(f"functions.{self.function_name}")

    def remaining_seconds(self) -> float:
        """Seconds until the handler is stopped; never below 0."""
        return max(0.0, self.started_monotonic + self.timeout_seconds - time.monotonic())

    # What handlers written for AWS Lambda's Python runtime read from its context object:
    # https://docs.aws.amazon.com/lambda/latest/dg/python-context.html

    @property
    def aws_request_id(self) -> str:
        """The invocation id, under the name that Lambda handlers know."""
        return self.invocation_id

    def get_remaining_time_in_millis(self) -> int:
        """`remaining_seconds`, in the unit that Lambda handlers know."""
        return int(self.remaining_seconds() * 1000)
