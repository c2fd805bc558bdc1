"""What came of an attempt: a result, or a function error."""

import os
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from runtime import json_text

_MAX_CHARACTERS = 20_000
_MAX_FRAMES = 100
_BRIEF_CHARACTERS = 500
INVALID_PAYLOAD = "InvalidPayload"
_RUNTIME_DIR = str(Path(__file__).parent) + os.sep


def traceback_text(error: BaseException) -> str:
    """Return the traceback of what a handler raised, without the frames of the runtime above it."""
    return _text("".join(_described(error).format()))


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionError:
    """What a handler did wrong, as a value.

    `type` is the exception's class name, or one of `Timeout` (stopped at its time limit),
    `WorkerLost` (its process died), `Poison` (its process died too often), `InvalidPayload`,
    `InvalidResult` (JSON cannot hold it), `UnknownFunction`, `Cancelled`, `Expired` (too old to
    run), `ZeroReservedConcurrency` (none may run) and `Malformed` (a message that is no
    invocation). `stack_trace` holds one string per frame of the user's code, outermost first, as
    `traceback.format_list` makes them.
    """

    type: str
    message: str
    stack_trace: tuple[str, ...] = ()

    @classmethod
    def from_exception(cls, error: BaseException) -> Self:
        """Describe what a handler raised, without the frames of the runtime above it."""
        described = _described(error)
        return cls(
            type=type(error).__name__,
            message=_text(str(described)),
            stack_trace=tuple(
                _text(frame) for frame in traceback.format_list(described.stack[-_MAX_FRAMES:])
            ),
        )

    @classmethod
    def decode(cls, text: bytes) -> Self:
        """Return what `encode` was made of."""
        error = json_text.decode(text)
        return cls(
            type=error["type"],
            message=error["message"],
            stack_trace=tuple(error["stack_trace"]),
        )

    def encode(self) -> bytes:
        """Return the `error` member of a record, as JSON text."""
        return json_text.encode(
            {
                "type": self.type,
                "message": self.message,
                "stack_trace": list(self.stack_trace),
            }
        )

    @property
    def quotes_payload(self) -> bool:
        """Whether the message is ours and may quote a payload: logs and traces go without it."""
        return self.type == INVALID_PAYLOAD

    def brief(self) -> bytes:
        """Return type and message, shortened, as JSON text."""
        return json_text.encode(
            {"type": self.type[:_BRIEF_CHARACTERS], "message": self.message[:_BRIEF_CHARACTERS]}
        )


# What the runtime itself says of invocations that it does not run, or stops.
CANCELLED_WAITING = FunctionError(type="Cancelled", message="cancelled while it waited")
CANCELLED_RUNNING = FunctionError(type="Cancelled", message="cancelled while it ran")
CANCELLED_BY_CELERY = FunctionError(type="Cancelled", message="revoked by a Celery program")
BARRED = FunctionError(
    type="ZeroReservedConcurrency", message="the reserved concurrency of its function is 0"
)
PAST_EXPIRES = FunctionError(
    type="Expired", message="past the time that its producer set (expires)"
)


def older_than(max_age_seconds: float | None) -> FunctionError:
    """Say that an invocation was too old to be run."""
    return FunctionError(type="Expired", message=f"older than {max_age_seconds} seconds")


def stopped_after(timeout_seconds: float | str) -> FunctionError:
    """Say that an attempt was stopped at its timeout."""
    return FunctionError(type="Timeout", message=f"stopped after {timeout_seconds} seconds")


def killed_its_process(attempts: int) -> FunctionError:
    """Say that an invocation has had so many attempts, and ended the process of each."""
    return FunctionError(type="Poison", message=f"its process died in each of {attempts} attempts")


def killed_its_worker(deliveries: int) -> FunctionError:
    """Say that a message was delivered so often, and its worker died each time."""
    return FunctionError(
        type="Poison",
        message=f"the worker died each of the {deliveries} times that it was delivered",
    )


def not_registered(name: str) -> FunctionError:
    """Say that an invocation is for a function that its worker does not have."""
    return FunctionError(
        type="UnknownFunction", message=f"no function named {name!r} is registered here"
    )


def _text(text: str) -> str:
    """Return a text that a record can hold: not endless, and without lone surrogates."""
    if len(text) > _MAX_CHARACTERS:
        half = _MAX_CHARACTERS // 2
        text = f"{text[:half]} ... ({len(text)} characters) ... {text[-half:]}"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _described(error: BaseException) -> traceback.TracebackException:
    described = traceback.TracebackException.from_exception(error)
    frames = list(described.stack)
    while frames and frames[0].filename.startswith(_RUNTIME_DIR):
        del frames[0]
    # billiard replaces sys.exit in the processes of its pools.
    while frames and f"{os.sep}billiard{os.sep}" in frames[-1].filename:
        del frames[-1]
    described.stack = traceback.StackSummary.from_list(frames)
    return described
