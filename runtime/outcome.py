"""What came of an attempt: a result, or a function error."""

import os
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from runtime import json_text

_MAX_CHARACTERS = 20_000
_MAX_FRAMES = 100
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
    run) and `Malformed` (a message that is no invocation). `stack_trace` holds one string per
    frame of the user's code, outermost first, as `traceback.format_list` makes them.
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
