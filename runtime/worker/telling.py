"""What the functions have in common that tell somebody of the ends of invocations."""

import dataclasses
from collections.abc import Callable
from typing import Any

from runtime.errors import PermanentError
from runtime.function import Function, function
from runtime.invocation import Record
from runtime.settings import Settings
from runtime.store import Store, records
from runtime.store.telling import MAX_AGE_SECONDS, RETRIES, TIMEOUT_SECONDS

_BACKOFF_SECONDS = 4.0
_LONGEST_BACKOFF_SECONDS = 3600.0
# What is more waits in the broker, as there is always a thread left. In a worker it would keep
# others from being claimed: a URL that does not answer must not stop all functions.
_AT_A_TIME = 32


def telling_function(name: str, handler: Callable[..., Any]) -> Function[..., Any]:
    """Make such a function of a handler; its name is none that users can give."""
    made = function(
        name=name.rpartition(".")[2],
        threads=_AT_A_TIME + 1,
        concurrency=_AT_A_TIME,
        timeout=TIMEOUT_SECONDS,
        retries=RETRIES,
        backoff=_BACKOFF_SECONDS,
        backoff_max=_LONGEST_BACKOFF_SECONDS,
        max_age=MAX_AGE_SECONDS,
    )(handler)
    return dataclasses.replace(made, name=name)


def read_ended(invocation_id: str, *, settings: Settings, store: Store) -> Record | None:
    """Read what became of an invocation; None if it was redriven, and has not ended again.

    Raises `PermanentError` if it is not known any more.
    """
    record = store.run(records.read(invocation_id, retention=settings.retention))
    if not isinstance(record, Record):
        raise PermanentError(f"the record of {invocation_id} is not kept any more")
    return record if record.is_terminal else None
