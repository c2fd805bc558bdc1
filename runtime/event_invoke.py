"""What AWS Lambda makes of asynchronous calls of a function: how often, how long, and who is told.

https://docs.aws.amazon.com/lambda/latest/api/API_FunctionEventInvokeConfig.html
"""

from typing import Self

import msgspec

from runtime.policy import RetryPolicy

MOST_RETRIES = 2
SHORTEST_AGE_SECONDS = 60
LONGEST_AGE_SECONDS = 21_600
# https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
_PAUSES_SECONDS = (60.0, 120.0)


class EventInvokeConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What somebody has said of the asynchronous calls of a function; None of it means AWS's way.

    `retries` is from 0 to `MOST_RETRIES`. `on_success` and `on_failure` are destinations: the whole
    ARN of a function, or a URL. `modified_at_us` is microseconds since the Unix epoch.
    """

    retries: int | None = None
    max_age_seconds: int | None = None
    on_success: str | None = None
    on_failure: str | None = None
    modified_at_us: int = 0

    @property
    def policy(self) -> RetryPolicy:
        """The policy of such calls, in place of the function's own."""
        return RetryPolicy(
            retries=MOST_RETRIES if self.retries is None else self.retries,
            pauses_seconds=_PAUSES_SECONDS,
            max_age_seconds=float(self.max_age_seconds or LONGEST_AGE_SECONDS),
        )

    def encode(self) -> bytes:
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, text: bytes | None) -> Self:
        """Return what `encode` was made of; of nothing, AWS's way."""
        return msgspec.json.decode(text, type=cls) if text else cls()
