"""What of Celery's own log lines is kept out of the logs."""

import logging

from celery.worker.consumer import consumer

QUIET_LOGGERS = {
    # Their lines repeat what ours say, results included.
    "celery.worker.strategy": logging.WARNING,
    "celery.app.trace": logging.CRITICAL,
    "celery.worker.request": logging.CRITICAL,
}

# Celery reports a message that it cannot use with everything that is in it.
_WITH_BODY = {
    consumer.UNKNOWN_FORMAT: "a message of an unknown form was dropped",
    consumer.UNKNOWN_TASK_ERROR: "a message names a task that is no function",
    consumer.INVALID_TASK_ERROR: "an invalid message was dropped",
    consumer.MESSAGE_DECODE_ERROR: "a message that cannot be decoded was dropped",
}


def without_bodies(record: logging.LogRecord) -> bool:
    """Take what a message holds out of a log record; a filter for the consumer's logger."""
    said = _WITH_BODY.get(str(record.msg))
    if said is None:
        return True
    reason = record.args[0] if isinstance(record.args, tuple) and record.args else None
    record.args = None
    record.exc_info = None
    if record.msg == consumer.UNKNOWN_TASK_ERROR:
        said = f"{said}: {reason}"
    elif isinstance(reason, Exception):
        said = f"{said}: {type(reason).__name__}"
    record.msg = said.replace("%", "%%")
    return True
