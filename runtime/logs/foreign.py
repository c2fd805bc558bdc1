"""The handler of the standard library's loggers: the way of other people's lines."""

import logging
from datetime import UTC, datetime
from typing import Any

from runtime.logs import encode
from runtime.logs.loggers import level_name
from runtime.logs.pipeline import Pipeline

# What a record has without anybody's `extra`; the last three are added late or by newer Pythons.
_RECORD_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
}
# Celery hangs the arguments of a task here. Payloads are not for logs.
_CELERY_TASK_EXTRA = "data"


class ForeignHandler(logging.Handler):
    """Handler of the root logger: the lines of every library that uses `logging`."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        self._pipeline = pipeline

    def createLock(self) -> None:  # noqa: N802 - the name in logging
        """Have no lock: the pipeline has its own, which survive a fork."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Emit a record that passes the filters; from Python 3.13 on, the base needs a lock."""
        passed: Any = self.filter(record)  # from Python 3.12 on, perhaps another record
        if passed:
            self.emit(record if passed is True else passed)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record with its `extra`, its exception and the bound context variables."""
        attributes = vars(record)
        fields = {
            name: value for name, value in attributes.items() if name not in _RECORD_ATTRIBUTES
        }
        if record.name.startswith("celery."):
            fields.pop(_CELERY_TASK_EXTRA, None)
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        elif record.exc_text:
            fields["exception"] = record.exc_text
        if record.stack_info:
            fields["stack"] = record.stack_info
        self._pipeline.emit(
            level=level_name(record.levelno),
            event=_message(record),
            logger=record.name,
            fields=fields,
            created_at=_created_at(record),
        )


def _created_at(record: logging.LogRecord) -> datetime | None:
    try:
        return datetime.fromtimestamp(record.created, UTC)
    except (ValueError, OverflowError, OSError, TypeError):  # a record that somebody made up
        return None


def _message(record: logging.LogRecord) -> str:
    try:
        # Messages for a terminal often end in a newline; those of warnings always do.
        return str(record.getMessage()).rstrip("\n")
    except Exception:  # noqa: BLE001 - a wrong template, or an argument's own code
        return f"{encode.text_of(record.msg)} {encode.text_of(record.args)}"
