"""What an attempt yields goes on a part at a time, through a real socket."""

import json
import socket
from collections.abc import Iterator

import pytest

from runtime.worker.executor.job import (
    Answer,
    AnswerReader,
    Job,
    Outcome,
    Report,
    Yielded,
    decode_taken,
    encode_taken,
)
from runtime.worker.executor.passing import PassingThread
from runtime.worker.executor.work import Work


def no_result(*_: object, **__: object) -> bytes:
    return b""


WORK = Work(
    functions={},
    max_result_bytes=1_000_000,
    celery_result=no_result,
    read_payload=no_result,
    read_calling=no_result,
)


def job(number: int) -> Job:
    return Job(
        number=number,
        id="id",
        function="f",
        payload=b"{}",
        attempt=1,
        failures=0,
        age_seconds=0.0,
        timeout_seconds=30.0,
        request_id=None,
    )


class Worker:
    """The other end."""

    def __init__(self, answers: socket.socket) -> None:
        self.answers = answers
        self._reader = AnswerReader()
        self._heard: list[Answer] = []

    def hear(self) -> Answer:
        """Return the next answer, when it has come."""
        while not self._heard:
            self._heard += self._reader.feed(self.answers.recv(65_536))
        return self._heard.pop(0)


@pytest.fixture
def worker_and_passing() -> Iterator[tuple[Worker, PassingThread]]:
    answers, told = socket.socketpair()
    answers.settimeout(10)
    with told, answers:
        yield Worker(answers), PassingThread(told)
        # The thread ends: the worker has hung up.
        answers.shutdown(socket.SHUT_RDWR)


def test_what_is_yielded_while_a_part_is_under_way_goes_with_the_next(
    worker_and_passing: tuple[Worker, PassingThread],
) -> None:
    worker, passing = worker_and_passing
    chunks = passing.begin(job(7), WORK)

    chunks.add("first")
    assert worker.hear() == Yielded(7, 0, b'["first"]')
    for number in range(1000):
        chunks.add(number)
    passing.send(Report(7, b"{}"))
    # What else is said goes before it.
    assert worker.hear() == Report(7, b"{}")
    worker.answers.send(encode_taken(7))
    second = worker.hear()
    assert isinstance(second, Yielded)
    assert (second.part, json.loads(second.chunks)) == (1, list(range(1000)))


def test_the_rest_of_a_failed_attempt_goes_before_its_end(
    worker_and_passing: tuple[Worker, PassingThread],
) -> None:
    worker, passing = worker_and_passing
    chunks = passing.begin(job(1), WORK)
    chunks.add(1)
    assert worker.hear() == Yielded(1, 0, b"[1]")
    chunks.add(2)
    failed = Outcome(number=1, run_seconds=1.0, error=b"{}")

    passing.end(failed)

    assert [worker.hear() for _ in range(2)] == [Yielded(1, 1, b"[2]"), failed]


def test_the_result_of_an_attempt_has_its_rest(
    worker_and_passing: tuple[Worker, PassingThread],
) -> None:
    worker, passing = worker_and_passing
    chunks = passing.begin(job(1), WORK)
    chunks.add(1)
    assert worker.hear() == Yielded(1, 0, b"[1]")
    chunks.add(2)
    ended = Outcome(number=1, run_seconds=1.0, result=chunks.result)

    passing.end(ended)

    assert worker.hear() == ended
    # What was under way does not hold back the next attempt for ever.
    worker.answers.send(encode_taken(1))
    passing.begin(job(2), WORK).add(3)
    assert worker.hear() == Yielded(2, 0, b"[3]")


def test_several_numbers_are_told_apart() -> None:
    assert list(decode_taken(encode_taken(1) + encode_taken(2**63))) == [1, 2**63]
