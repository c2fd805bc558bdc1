"""The serial executor: one attempt after the other, in the main thread of its process."""

import os
import socket
from collections.abc import Callable

import structlog

from runtime.attempt import AttemptRunner
from runtime.worker.executor.job import Answer, Job, Outcome, Report, decode_order, encode_answer
from runtime.worker.executor.work import Work, bind_log, context_of
from runtime.worker.output import Printed

LARGEST_ORDER_BYTES = 65_536


def run(jobs: socket.socket, answers: socket.socket, work: Work) -> None:
    """Run what comes until the worker hangs up."""
    printed = Printed(structlog.get_logger("handler"))
    runner = AttemptRunner()

    def send(answer: Answer) -> None:
        answers.sendall(encode_answer(answer))

    while message := jobs.recv(LARGEST_ORDER_BYTES):
        order = decode_order(message)
        if isinstance(order, Job):
            send(_attempt(order, work, runner, printed, send))


def _attempt(
    job: Job, work: Work, runner: AttemptRunner, printed: Printed, send: Callable[[Report], None]
) -> Outcome:
    pid = os.getpid()
    structlog.contextvars.clear_contextvars()
    bind_log(job)
    printed.catch()
    try:
        result = runner.run(
            work.functions[job.function], work.payload_of(job), context_of(job, send)
        )
        return work.succeeded(job, result, run_seconds=runner.run_seconds)
    # Whatever a handler raises ends its attempt, SystemExit included.
    except BaseException as error:  # noqa: BLE001
        return work.failed(job, error, run_seconds=runner.run_seconds)
    finally:
        if os.getpid() != pid:
            # A child that the handler forked and let return: it must not take over the work of
            # its parent.
            os._exit(0)
        printed.end()
