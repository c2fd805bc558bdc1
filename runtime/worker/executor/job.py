"""What a worker and its executors say to each other.

Jobs go through a socket that keeps messages apart, one message each, so that a job is either taken
by the executor or can be taken back, and never half. Answers come through a stream, each with its
length before it. Against this stream the worker says what it has taken.
"""

import struct
from collections.abc import Iterator

import msgspec

from runtime.errors import EyasError

LARGEST_ORDER_BYTES = 65_536
"""What is longer would be cut on its way."""

TAKEN_BYTES = 8

_LENGTH = struct.Struct("!I")
_TAKEN = struct.Struct("!Q")
_LONGEST_BYTES = 1 << 30
_ENCODER = msgspec.msgpack.Encoder()


class Job(msgspec.Struct, frozen=True, array_like=True, tag=0, kw_only=True, gc=False):
    """One attempt to make. `number` is the worker's own, never used twice for an executor.

    A `payload` of None is too large to be passed around: the executor reads it from the record.
    `failures` counts the attempts before that ended in a function error; `age_seconds` is since the
    invocation was accepted; `timeout_seconds` is for the handler to know. `policy` is the
    invocation's own, or empty.
    """

    number: int
    id: str
    function: str
    payload: bytes | None
    attempt: int
    failures: int
    age_seconds: float
    timeout_seconds: float
    request_id: str | None
    policy: bytes = b""


class Stop(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Stop an attempt that a shared executor runs, if it can be; `last` was given before this."""

    number: int
    last: int


class Outcome(msgspec.Struct, frozen=True, array_like=True, tag=2, kw_only=True, gc=False):
    """How an attempt has ended.

    With `result` it succeeded. Otherwise there is an `error` (JSON text of the function error) and
    what `AsyncResult` reads of it; the invocation is tried again after `retry_seconds`, or given up
    for the reason `dead_letter`. With none of these it was stopped as it should be.
    """

    number: int
    run_seconds: float
    result: bytes | None = None
    error: bytes | None = None
    celery_result: bytes = b""
    traceback: str = ""
    retry_seconds: float | None = None
    dead_letter: str | None = None


class Report(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """How far an attempt is, as JSON text."""

    number: int
    progress: bytes


class Yielded(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """A part of what an attempt has yielded: a JSON list, and how many parts were before it.

    The worker says when the broker has it (`encode_taken`). Until then the executor sends no more
    of this attempt, unless it has ended.
    """

    number: int
    part: int
    chunks: bytes


Order = Job | Stop
Answer = Outcome | Report | Yielded

_ORDERS = msgspec.msgpack.Decoder(Order)
_ANSWERS = msgspec.msgpack.Decoder(Answer)


def encode_order(order: Order) -> bytes:
    """Return the one message that says it."""
    return _ENCODER.encode(order)


def decode_order(message: bytes) -> Order:
    order: Order = _ORDERS.decode(message)
    return order


def encode_answer(answer: Answer) -> bytes:
    """Return a frame of the stream."""
    body = _ENCODER.encode(answer)
    return _LENGTH.pack(len(body)) + body


def encode_taken(number: int) -> bytes:
    """Return what says, against the stream, that a part of this job was taken."""
    return _TAKEN.pack(number)


def decode_taken(message: bytes) -> Iterator[int]:
    """Return the numbers of one or more messages that say so."""
    return (number for (number,) in _TAKEN.iter_unpack(message))


class GarbledError(EyasError):
    """Somebody else has written into the stream: a handler, who else."""


class AnswerReader:
    """Takes the stream apart, however it was cut; what was not finished is never given out."""

    def __init__(self) -> None:
        self._received = bytearray()

    def feed(self, received: bytes) -> Iterator[Answer]:
        """Yield the answers that are complete now. Raises `GarbledError`."""
        self._received += received
        at = 0
        while len(self._received) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._received, at)
            if length > _LONGEST_BYTES:
                raise GarbledError(f"an answer of {length} bytes")
            end = at + _LENGTH.size + length
            if end > len(self._received):
                break
            try:
                answer = _ANSWERS.decode(memoryview(self._received)[at + _LENGTH.size : end])
            except msgspec.MsgspecError as error:
                raise GarbledError(str(error)) from error
            yield answer
            at = end
        if at:
            del self._received[:at]
