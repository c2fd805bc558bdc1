"""What a handler is told about its invocation."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from runtime import schedule
from runtime.lambda_context import (
    LATEST,
    MEMORY_MB,
    Calling,
    ClientContext,
    CognitoIdentity,
    function_arn,
    log_stream_name,
)

_MESSAGE_CHARACTERS = 1000


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
    report_progress: Callable[[dict[str, Any]], None] | None = field(default=None, repr=False)
    calling: Callable[[], Calling] | None = field(default=None, repr=False)

    @property
    def log(self) -> Any:
        """A structlog logger: `context.log.info("image.resized", width=640)`."""
        return structlog.get_logger(f"functions.{self.function_name}")

    @property
    def scheduled_at(self) -> datetime | None:
        """When the invocation was due by its function's schedule, in UTC; None without one."""
        return schedule.scheduled_at(self.function_name, self.invocation_id)

    def remaining_seconds(self) -> float:
        """Seconds until the handler is stopped; never below 0."""
        return max(0.0, self.started_monotonic + self.timeout_seconds - time.monotonic())

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Say how far the attempt is: `context.progress(3, 10, "resizing")`.

        It is the `progress` of the record. More than ten reports a second are thinned out, except
        for the one where `done` equals `total`.
        """
        for name, number in (("done", done), ("total", total)):
            if number is not None and not math.isfinite(number):
                raise ValueError(f"{name}={number!r}: expected a finite number")
        if self.report_progress is not None:
            text = None if message is None else str(message)[:_MESSAGE_CHARACTERS]
            self.report_progress({"done": done, "total": total, "message": text})

    # What handlers written for AWS Lambda's Python runtime read from its context object:
    # https://docs.aws.amazon.com/lambda/latest/dg/python-context.html

    @property
    def aws_request_id(self) -> str:
        """The invocation id, under the name that Lambda handlers know."""
        return self.invocation_id

    def get_remaining_time_in_millis(self) -> int:
        """`remaining_seconds`, in the unit that Lambda handlers know."""
        return int(self.remaining_seconds() * 1000)

    @property
    def function_version(self) -> str:
        """`$LATEST`: there is no other version."""
        return LATEST

    @property
    def invoked_function_arn(self) -> str:
        """The function's ARN, as a caller of the Lambda API has named it."""
        named = self._calling().invoked_function_arn
        return named or function_arn(self.function_name)

    @property
    def client_context(self) -> ClientContext | None:
        """What a caller of the Lambda API has said besides the payload; None if nothing."""
        said = self._calling().client_context
        return None if said is None else ClientContext.of(said)

    @property
    def identity(self) -> CognitoIdentity:
        """An identity with nobody in it, as for all who do not sign in through Cognito."""
        return CognitoIdentity()

    @property
    def memory_limit_in_mb(self) -> str:
        """AWS's default, as a text; nothing is limited to it."""
        return str(MEMORY_MB)

    @property
    def log_group_name(self) -> str:
        """What AWS would call the function's logs; they are in the log folder."""
        return f"/aws/lambda/{self.function_name}"

    @property
    def log_stream_name(self) -> str:
        """What AWS would call the logs of this process."""
        return log_stream_name()

    def _calling(self) -> Calling:
        return Calling() if self.calling is None else self.calling()
