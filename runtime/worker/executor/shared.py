"""The shared executor: many attempts at a time, which mostly wait.

`async def` handlers run in its event loop; the others in threads, as many for each function as its
`threads` says. An attempt of the first kind is cancelled when it is to be stopped. What cannot be
stopped, a thread above all, is the worker's to deal with: it ends the process.
"""

import asyncio
import contextvars
import socket
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any

import structlog

from runtime.attempt import arguments_of, awaited, called, result_text
from runtime.chunks import Chunks
from runtime.function import Function
from runtime.worker.executor.job import (
    LARGEST_ORDER_BYTES,
    TAKEN_BYTES,
    Answer,
    Job,
    Outcome,
    Stop,
    decode_order,
    decode_taken,
    encode_answer,
)
from runtime.worker.executor.passing import Passage
from runtime.worker.executor.work import Forked, Work, bind_log, context_of
from runtime.worker.output import Printed

_MOST_READ_AT_ONCE = 256


def run(jobs: socket.socket, answers: socket.socket, work: Work) -> None:
    """Run what comes until the worker hangs up."""
    asyncio.run(_Shared(jobs, answers, work).serve())


class _Shared:
    def __init__(self, jobs: socket.socket, answers: socket.socket, work: Work) -> None:
        self._jobs = jobs
        self._answers = answers
        self._work = work
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._stopped: set[int] = set()
        self._threads: dict[str, Executor] = {}
        self._passages: dict[int, Passage] = {}
        self._unsent: list[bytes] = []
        self._printed = Printed(structlog.get_logger("handler"))
        self._has_hung_up = asyncio.Event()
        self._forked = Forked()

    async def serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._jobs.setblocking(False)  # noqa: FBT003  the standard library's
        self._loop.add_reader(self._jobs, self._read)
        self._loop.add_reader(self._answers, self._read_taken)
        await self._has_hung_up.wait()

    def _read(self) -> None:
        for _ in range(_MOST_READ_AT_ONCE):
            try:
                message = self._jobs.recv(LARGEST_ORDER_BYTES)
            except BlockingIOError:
                return
            if not message:
                self._loop.remove_reader(self._jobs)
                self._has_hung_up.set()
                return
            match decode_order(message):
                case Job() as job:
                    self._begin(job)
                case Stop(number, _) if number in self._tasks:
                    self._stopped.add(number)
                    # After it has begun: what is cancelled before that says nothing.
                    self._loop.call_soon(self._tasks[number].cancel)

    def _begin(self, job: Job) -> None:
        task = self._loop.create_task(self._attempt(job))
        self._tasks[job.number] = task
        task.add_done_callback(lambda _: self._forget(job.number))

    def _forget(self, number: int) -> None:
        self._tasks.pop(number, None)
        self._stopped.discard(number)

    async def _attempt(self, job: Job) -> None:
        bind_log(job)
        self._printed.catch()
        function = self._work.functions[job.function]
        started = time.monotonic()
        try:
            returned, raised = await self._call(function, job)
            if raised is not None:
                raise raised  # noqa: TRY301  as if the handler had been called here
            run_seconds = time.monotonic() - started
            outcome = self._work.succeeded(
                job, result_text(function, returned), run_seconds=run_seconds
            )
        except asyncio.CancelledError:
            # If the handler cancelled itself, or let another's cancellation through, it has failed.
            run_seconds = time.monotonic() - started
            error = RuntimeError("CancelledError: the handler was cancelled by its own doing")
            outcome = (
                Outcome(number=job.number, run_seconds=run_seconds)
                if job.number in self._stopped
                else self._work.failed(job, error, run_seconds=run_seconds)
            )
        except BaseException as error:  # noqa: BLE001  it ends the attempt, SystemExit included
            run_seconds = time.monotonic() - started
            outcome = self._work.failed(job, error, run_seconds=run_seconds)
        self._forked.end_child()
        self._printed.end()
        passage = self._passages.pop(job.number, None)
        if passage is not None and outcome.result is None and (rest := passage.rest()) is not None:
            self._send(rest)
        self._send(outcome)

    async def _call(
        self, function: Function[..., Any], job: Job
    ) -> tuple[Any, BaseException | None]:
        context = context_of(job, function, self._send_soon, self._work)
        payload = (
            job.payload
            if job.payload is not None
            else await asyncio.to_thread(self._work.payload_of, job)
        )
        arguments = arguments_of(function, payload, context)
        chunks = self._chunks_of(job) if function.yields else None
        if not function.is_async:
            inside = contextvars.copy_context()
            call = partial(inside.run, self._in_thread, function, arguments, chunks)
            return await self._loop.run_in_executor(self._threads_of(function), call)
        return await awaited(function, arguments, chunks), None

    def _in_thread(
        self, function: Function[..., Any], arguments: dict[str, Any], chunks: Chunks | None
    ) -> tuple[Any, BaseException | None]:
        try:
            return called(function, arguments, chunks), None
        # A future cannot hold SystemExit and StopIteration, which end an attempt like all others.
        except BaseException as error:  # noqa: BLE001
            return None, error
        finally:
            self._forked.end_child()
            self._printed.end()

    def _threads_of(self, function: Function[..., Any]) -> Executor:
        if function.name not in self._threads:
            self._threads[function.name] = ThreadPoolExecutor(
                function.threads, thread_name_prefix=function.name
            )
        return self._threads[function.name]

    def _chunks_of(self, job: Job) -> Chunks:
        def tell() -> None:
            if not passage.is_announced:
                passage.is_announced = True
                self._loop.call_soon_threadsafe(self._pass_on, passage)

        passage = self._passages[job.number] = Passage.of(job, self._work, tell)
        return passage.chunks

    def _pass_on(self, passage: Passage) -> None:
        # Before it is looked for: what comes after is announced again.
        passage.is_announced = False
        if passage.number in self._passages and (part := passage.next()) is not None:
            self._send(part)

    def _read_taken(self) -> None:
        message = self._answers.recv(_MOST_READ_AT_ONCE * TAKEN_BYTES)
        if not message:
            self._loop.remove_reader(self._answers)
        for number in decode_taken(message):
            if (passage := self._passages.get(number)) is not None:
                passage.is_under_way = False
                self._pass_on(passage)

    def _send_soon(self, answer: Answer) -> None:
        """`_send`, from any thread."""
        self._loop.call_soon_threadsafe(self._send, answer)

    def _send(self, answer: Answer) -> None:
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(encode_answer(answer))

    def _flush(self) -> None:
        # The worker reads whatever comes; while it does not, nothing else may begin either.
        self._answers.sendall(b"".join(self._unsent))
        self._unsent.clear()
