"""`python -m runtime.flower`: Flower, in the foreground."""

import logging
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

import structlog

from runtime import entry
from runtime.flower.application import create_celery, create_flower
from runtime.store import is_reachable

_QUIET = {
    # Without: four warnings at every start, before the first worker is up to be inspected.
    "flower.inspector": logging.ERROR,
    # Without: a second line beside each `flower.connected`.
    "kombu.mixins": logging.WARNING,
}


def main() -> None:
    """Run Flower until it is told to stop."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)
    settings = entry.prepare("flower", quiet=_QUIET)
    log = structlog.get_logger("flower")
    # What Flower asks at its start, it asks only once.
    entry.wait_until(lambda: is_reachable(settings.broker_url), waiting_for="the broker")
    flower = create_flower(settings, celery=create_celery(settings))
    try:
        flower.start_http_server()
    except OSError as error:
        entry.stop(
            f"cannot listen on {settings.flower_host}:{settings.flower_port}: {error.strerror}. "
            "Set EYAS_FLOWER_PORT to a free port, or EYAS_FLOWER_HOST to an address of this machine"
        )
    loop = flower.io_loop.asyncio_loop
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, flower.stop)
    log.info("flower.listening", url=f"http://{settings.flower_host}:{settings.flower_port}")
    flower.start()
    log.info("flower.stopped")
    # Flower's threads may be in the middle of asking a broker that is gone: the interpreter would
    # wait for them, without end. There is nothing for them to save.
    os._exit(0)


def _exit(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


if __name__ == "__main__":
    main()
