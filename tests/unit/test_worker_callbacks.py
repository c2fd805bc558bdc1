"""What a callback says, and when it says nothing."""

import dataclasses
from typing import Any

from runtime.invocation import Record, Status
from runtime.settings import Settings
from runtime.store.step import Step
from runtime.worker.callbacks import callback_function

SECRET = "a secret of some length"  # noqa: S105


@dataclasses.dataclass
class OneRecord:
    """A store in which there is nothing but one record."""

    record: Record

    def run(self, _step: Step[Any]) -> Record:
        return self.record


def test_of_one_that_was_redriven_and_has_not_ended_again_nothing_is_said() -> None:
    record = Record(
        id="one",
        function="fail",
        status=Status.QUEUED,
        trigger="http",
        payload=b"{}",
        attempt=1,
        max_attempts=2,
        accepted_at_us=1,
    )
    settings = Settings.from_environment({"EYAS_CALLBACK_SECRET": SECRET})
    callback = callback_function(settings, OneRecord(record))  # type: ignore[arg-type]
    assert callback.handler(invocation_id="one", url="no URL", context=None) is None
