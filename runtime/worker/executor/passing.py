"""Passing on what attempts yield while they run: one part of each is under way at a time.

What is yielded meanwhile goes with the next part. So a handler never waits, and one that yields
quickly sends few parts that are large, and not many that are small. When an attempt has succeeded,
its result has all that is left; of any other, the rest goes before its outcome.
"""

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

from runtime.chunks import Chunks
from runtime.worker.executor.job import (
    TAKEN_BYTES,
    Answer,
    Job,
    Outcome,
    Yielded,
    encode_answer,
)
from runtime.worker.executor.work import Work


@dataclass(slots=True, kw_only=True, eq=False)
class Passage:
    """What one attempt yields, on its way. `is_announced` if somebody is about to look for it."""

    number: int
    chunks: Chunks
    is_under_way: bool = False
    is_announced: bool = False

    @classmethod
    def of(cls, job: Job, work: Work, tell: Callable[[], None]) -> "Passage":
        """Begin one, of a job whose handler is a generator."""
        chunks = Chunks(function=job.function, most_bytes=work.max_result_bytes, tell=tell)
        return cls(number=job.number, chunks=chunks)

    def next(self) -> Yielded | None:
        """Return what is to be sent now: nothing while a part is under way."""
        found = None if self.is_under_way else self.rest()
        self.is_under_way |= found is not None
        return found

    def rest(self) -> Yielded | None:
        """Return all that was not sent."""
        part = self.chunks.take()
        return None if part is None else Yielded(self.number, part.number, part.chunks)


class PassingThread:
    """Sends what attempts yield that run one after the other, from a thread beside them.

    It also sends all other answers, so that none comes to be in the middle of another. The thread
    is started for the first handler that is a generator.
    """

    def __init__(self, answers: socket.socket) -> None:
        self._answers = answers
        self._sending = threading.Lock()
        self._news = threading.Event()
        self._passage: Passage | None = None
        self._thread: threading.Thread | None = None

    def begin(self, job: Job, work: Work) -> Chunks:
        """Return what takes the chunks of an attempt."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._pass_on, name="passing", daemon=True)
            self._thread.start()
        self._passage = Passage.of(job, work, self._news.set)
        return self._passage.chunks

    def send(self, answer: Answer) -> None:
        with self._sending:
            self._answers.sendall(encode_answer(answer))

    def end(self, outcome: Outcome) -> None:
        """Send how an attempt has ended."""
        with self._sending:
            passage, self._passage = self._passage, None
            rest = passage.rest() if passage is not None and outcome.result is None else None
            for answer in (rest, outcome):
                if answer is not None:
                    self._answers.sendall(encode_answer(answer))

    def _pass_on(self) -> None:
        while True:
            self._news.wait()
            self._news.clear()
            try:
                if not self._pass_part():
                    return
            except OSError:
                return  # the worker has died, and this process is about to

    def _pass_part(self) -> bool:
        """Send a part, and wait until it was taken; False if the worker has hung up."""
        with self._sending:
            found = self._passage.rest() if self._passage is not None else None
            if found is None:
                return True
            self._answers.sendall(encode_answer(found))
        return bool(self._answers.recv(TAKEN_BYTES, socket.MSG_WAITALL))
