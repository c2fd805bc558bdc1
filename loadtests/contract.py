"""What is sent, and what a right answer is."""

import json
from typing import Any

ACCEPTED = 202
FUNCTION = "fib"
PATH = f"/functions/{FUNCTION}"
BATCH_PATH = f"{PATH}/batch"
HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}

_OK = 200


class WrongAnswerError(Exception):
    """An answer that breaks the contract; the message is the kind it is counted under."""


def payload(number: int) -> str:
    """Return the body of an invocation."""
    return json.dumps({"number": number})


def payloads(number: int, *, size: int) -> str:
    """Return the body of a batch of as many invocations."""
    return json.dumps([{"number": number}] * size)


def read_accepted(status: int, body: bytes) -> str:
    """Return the id in the answer to an invocation. Raises `WrongAnswerError`."""
    invocation_id = _accepted(status, body).get("id")
    if not isinstance(invocation_id, str) or not invocation_id:
        raise WrongAnswerError(f"status {ACCEPTED} without an id")
    return invocation_id


def read_accepted_batch(status: int, body: bytes, *, size: int) -> list[str]:
    """Return the ids in the answer to a batch of that size. Raises `WrongAnswerError`."""
    ids = _accepted(status, body).get("ids")
    if not isinstance(ids, list) or len(ids) != size or set(map(type, ids)) != {str} or "" in ids:
        raise WrongAnswerError(f"status {ACCEPTED} without {size} ids")
    return ids


def check_record(status: int, body: bytes, *, invocation_id: str, number: int) -> None:
    """Raise `WrongAnswerError` unless a record shows the right result of that invocation.

    Status 0 says that there was no answer.
    """
    if status == 0:
        raise WrongAnswerError("result: no answer")
    if status != _OK:
        raise WrongAnswerError(f"result: status {status} for an accepted id")
    record = _object(body)
    if (record.get("id"), record.get("function")) != (invocation_id, FUNCTION):
        raise WrongAnswerError("result: the record of another invocation")
    if record.get("status") != "succeeded":
        raise WrongAnswerError(f"result: {record.get('status')}, not succeeded")
    if record.get("result") != fibonacci_numbers(number):
        raise WrongAnswerError("result: wrong numbers")


def fibonacci_numbers(number: int) -> list[int]:
    """Return the Fibonacci numbers from index 0 up to index `number`, each by itself."""
    return [_fibonacci(index)[0] for index in range(number + 1)]


def _fibonacci(index: int) -> tuple[int, int]:
    """Return the Fibonacci number of an index and the next one, by doubling."""
    if index == 0:
        return 0, 1
    low, high = _fibonacci(index // 2)
    even, odd = low * (2 * high - low), low * low + high * high
    return (odd, even + odd) if index % 2 else (even, odd)


def _accepted(status: int, body: bytes) -> dict[str, Any]:
    if status != ACCEPTED:
        raise WrongAnswerError(f"status {status}")
    return _object(body)


def _object(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        raise WrongAnswerError("a body that is not JSON") from None
    if not isinstance(answer, dict):
        raise WrongAnswerError("a body that is not a JSON object")
    return answer
