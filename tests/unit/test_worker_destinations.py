"""What a destination is told, and under which terms its function is called."""

import json
from typing import Any

import pytest

from runtime import function
from runtime.event_invoke import EventInvokeConfig
from runtime.invocation import Record, Status
from runtime.lambda_context import Calling
from runtime.outcome import BARRED, FunctionError, older_than
from runtime.policy import DeadLetterReason, RetryPolicy
from runtime.worker.destinations import invocation_of, record_of

OTHER_ARN = "arn:aws:lambda:eu-west-1:123456789012:function:some"


def told(**fields: Any) -> Any:
    ended = Record(
        **{
            "id": "one",
            "function": "some",
            "status": Status.FAILED,
            "trigger": "http",
            "payload": b'{"n": 1}',
            "attempt": 2,
            "max_attempts": 3,
            "accepted_at_us": 1,
            "finished_at_us": 1_000_000_123_456,
            "error": FunctionError(type="ValueError", message="no").encode(),
            **fields,
        }
    )
    return json.loads(record_of(ended))


@pytest.mark.parametrize(
    ("fields", "condition"),
    [
        ({"status": Status.SUCCEEDED, "result": b"null", "error": None}, "Success"),
        ({"dead_letter": DeadLetterReason.RETRIES_EXHAUSTED}, "RetriesExhausted"),
        ({"dead_letter": DeadLetterReason.PERMANENT}, "RetriesExhausted"),
        ({"dead_letter": DeadLetterReason.POISON}, "RetriesExhausted"),
        (
            {"status": Status.EXPIRED, "dead_letter": DeadLetterReason.EXPIRED},
            "EventAgeExceeded",
        ),
    ],
)
def test_conditions(fields: Any, condition: str) -> None:
    sent = told(**fields)
    assert sent["requestContext"]["condition"] == condition
    assert sent["timestamp"] == "1970-01-12T13:46:40.123Z"
    assert ("functionError" in sent["responseContext"]) == (condition != "Success")


@pytest.mark.parametrize(
    ("reason", "attempt", "error", "condition"),
    [
        (DeadLetterReason.EXPIRED, 0, older_than(60), "EventAgeExceeded"),
        (DeadLetterReason.ZERO_RESERVED_CONCURRENCY, 0, BARRED, "ZeroReservedConcurrency"),
        # What it has answered before is not known any more.
        (DeadLetterReason.ZERO_RESERVED_CONCURRENCY, 1, BARRED, "ZeroReservedConcurrency"),
    ],
)
def test_one_that_was_not_let_run_has_no_response(
    reason: DeadLetterReason, attempt: int, error: FunctionError, condition: str
) -> None:
    sent = told(dead_letter=reason, attempt=attempt, error=error.encode())
    assert sent["requestContext"]["condition"] == condition
    assert sent["requestContext"]["approximateInvokeCount"] == attempt
    assert not {"responseContext", "responsePayload"} & set(sent)


@pytest.mark.parametrize(
    ("called", "shown"),
    [
        (None, "arn:aws:lambda:us-east-1:000000000000:function:some:$LATEST"),
        (OTHER_ARN, f"{OTHER_ARN}:$LATEST"),
        (f"{OTHER_ARN}:$LATEST", f"{OTHER_ARN}:$LATEST"),
    ],
)
def test_the_arn_is_the_callers_and_of_the_version(called: str | None, shown: str) -> None:
    calling = Calling(invoked_function_arn=called).encode()
    assert told(calling=calling)["requestContext"]["functionArn"] == shown


def test_a_function_is_called_under_its_own_configuration() -> None:
    @function(retries=7, max_age=5)
    def some(event: Any) -> None: ...

    config = EventInvokeConfig(retries=0, max_age_seconds=90, on_success="a", on_failure="b")
    invocation = invocation_of(some, config, id="one", arn=OTHER_ARN, payload=b"{}", depth=3)

    assert (invocation.retries, invocation.max_age_seconds) == (0, 90.0)
    assert RetryPolicy.decode(invocation.policy or b"") == config.policy
    assert (invocation.on_success, invocation.on_failure, invocation.depth) == ("a", "b", 3)
    assert Calling.decode(invocation.calling).invoked_function_arn == OTHER_ARN


def test_what_is_not_said_is_awss_way() -> None:
    assert EventInvokeConfig.decode(None).policy == RetryPolicy(
        retries=2, pauses_seconds=(60.0, 120.0), max_age_seconds=6 * 3600.0
    )
    some = EventInvokeConfig(retries=0, on_failure="x", modified_at_us=5)
    assert EventInvokeConfig.decode(some.encode()) == some
