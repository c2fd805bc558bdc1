"""Function errors in the words of Lambda's runtimes."""

import json

import pytest

from runtime.invocation import Record, Status
from runtime.lambda_errors import body_of, import_error_body
from runtime.outcome import FunctionError
from runtime.registry import FailedModule


def body(error_type: str, message: str, *stack_trace: str) -> str:
    error = FunctionError(type=error_type, message=message, stack_trace=stack_trace)
    return body_of(
        Record(
            id="one",
            function="some",
            status=Status.FAILED,
            trigger="http",
            payload=b"{}",
            attempt=1,
            max_attempts=1,
            accepted_at_us=0,
            error=error.encode(),
        )
    ).decode()


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("", "without providing a reason"),
        ("0", "without providing a reason"),
        ("3", "with error: exit status 3"),
        ("a text", "with error: exit status 1"),
    ],
)
def test_leaving(message: str, words: str) -> None:
    assert body("SystemExit", message) == (
        f'{{"errorType":"Runtime.ExitError","errorMessage":"RequestId: one Error: '
        f'Runtime exited {words}"}}'
    )


def test_a_soft_timeout_is_no_hard_one() -> None:
    text = "the soft timeout of 3 seconds has passed"

    assert json.loads(body("Timeout", text)) == {
        "errorMessage": text,
        "errorType": "Timeout",
        "requestId": "one",
        "stackTrace": [],
    }
    hard = json.loads(body("Timeout", "stopped after 0.5 seconds"))
    assert hard["errorMessage"] == "RequestId: one Error: Task timed out after 0.50 seconds"


def test_a_handlers_own_class_of_a_special_name_is_its_own() -> None:
    for name in ("InvalidResult", "InvalidPayload", "Poison", "Timeout"):
        raised = json.loads(body(name, "the shop's", "  File a\n"))
        assert (raised["errorType"], raised["errorMessage"]) == (name, "the shop's")
    assert json.loads(body("InvalidPayload", "no"))["errorType"] == "Runtime.InvalidPayload"


def test_modules_that_fail() -> None:
    failed = FailedModule(
        module="functions.some",
        path="some.py",
        error="SyntaxError: invalid syntax (some.py, line 1)",
        traceback="SyntaxError: invalid syntax (some.py, line 1)\n",
    )

    assert json.loads(import_error_body(failed)) == {
        "errorMessage": "Syntax error in module 'some': invalid syntax (some.py, line 1)",
        "errorType": "Runtime.UserCodeSyntaxError",
        "requestId": "",
        "stackTrace": [],
    }
