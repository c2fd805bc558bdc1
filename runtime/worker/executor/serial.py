"""The serial executor: one attempt after the other, in the main thread of its process."""

import contextvars
import socket

import structlog

from runtime.attempt import AttemptRunner
from runtime.worker.executor.job import (
    LARGEST_ORDER_BYTES,
    Job,
    Outcome,
    decode_order,
)
from runtime.worker.executor.passing import PassingThread
from runtime.worker.executor.work import Forked, Work, bind_log, context_of
from runtime.worker.output import Printed


def run(jobs: socket.socket, answers: socket.socket, work: Work) -> None:
    """Run what comes until the worker hangs up."""
    printed = Printed(structlog.get_logger("handler"))
    runner = AttemptRunner()
    forked = Forked()
    passing = PassingThread(answers)

    def attempt(job: Job) -> Outcome:
        bind_log(job)
        printed.catch()
        function = work.functions[job.function]
        try:
            context = context_of(job, function, passing.send, work)
            chunks = passing.begin(job, work) if function.yields else None
            result = runner.run(function, work.payload_of(job), context, chunks=chunks)
            return work.succeeded(job, result, run_seconds=runner.run_seconds)
        # Whatever a handler raises ends its attempt, SystemExit included.
        except BaseException as error:  # noqa: BLE001
            return work.failed(job, error, run_seconds=runner.run_seconds)
        finally:
            forked.end_child()
            printed.end()

    empty = contextvars.copy_context()
    while message := jobs.recv(LARGEST_ORDER_BYTES):
        order = decode_order(message)
        if isinstance(order, Job):
            # What one attempt puts into its context, the next does not find there.
            passing.end(empty.copy().run(attempt, order))
