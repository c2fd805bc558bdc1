"""What became of an invocation that did not succeed, in the words of Lambda's runtimes.

The caller gets status 200 all the same, with `X-Amz-Function-Error: Unhandled`.
"""

import re
from typing import Any

import msgspec

from runtime.invocation import Record
from runtime.outcome import FunctionError
from runtime.registry import FailedModule

# AWS counts the hundred bytes that it adds itself.
_ADDED_BYTES = 100
TIMED_OUT = "Sandbox.Timedout"
"""The type of an attempt that was stopped at its timeout."""

_STOPPED = re.compile(r"stopped after ([0-9.]+) seconds")
_DIED = re.compile(r"its process died|the worker died")
_TOO_LARGE = re.compile(r"the result has \d+ bytes; the limit is (\d+) ")
_IMPORT_ERRORS = frozenset({"ImportError", "ModuleNotFoundError"})
_TYPES = {"InvalidResult": "Runtime.MarshalError", "InvalidPayload": "Runtime.InvalidPayload"}
_FRAME = re.compile(r'^  File "[^\n]*\n(?:    [^\n]*\n)*', re.MULTILINE)


def body_of(record: Record) -> bytes:
    """Return what the caller is answered about an invocation that has ended without a result."""
    return msgspec.json.encode(_body(_error_of(record), record.id))


def error_object(record: Record) -> dict[str, Any]:
    """Return the same as AWS's ErrorObject: `ErrorMessage`, `ErrorType`, `StackTrace`."""
    body = _body(_error_of(record), record.id)
    return {
        "ErrorMessage": body["errorMessage"],
        "ErrorType": body["errorType"],
        "StackTrace": body.get("stackTrace", []),
    }


def sandbox_error(error_type: str, message: str) -> tuple[str, str] | None:
    """Return AWS's type and words for what ends a process; None if the handler raised something."""
    if error_type == "Timeout" and (stopped := _STOPPED.fullmatch(message)):
        return TIMED_OUT, f"Task timed out after {float(stopped[1]):.2f} seconds"
    if error_type == "SystemExit":
        is_plain = message in {"", "0", "None"}
        status = message if message.isdecimal() else "1"
        reason = "without providing a reason" if is_plain else f"with error: exit status {status}"
        return "Runtime.ExitError", f"Runtime exited {reason}"
    if error_type == "Poison" and _DIED.match(message):
        return "Runtime.ExitError", "Runtime exited with error: signal: killed"
    return None


def type_of(error_type: str) -> str:
    """Return AWS's name for a type of function error, or one like AWS's where it has none."""
    return _TYPES.get(error_type, error_type)


def import_error_body(failed: FailedModule) -> bytes:
    """Return what the caller of a function is answered whose module cannot be imported."""
    error_type, _, message = failed.error.partition(": ")
    module = failed.module.rpartition(".")[2]
    stack_trace = _FRAME.findall(failed.traceback)
    if error_type in _IMPORT_ERRORS:
        error_type, stack_trace = "Runtime.ImportModuleError", []
        message = f"Unable to import module '{module}': {message}"
    elif error_type == "SyntaxError":
        error_type, stack_trace = "Runtime.UserCodeSyntaxError", []
        message = f"Syntax error in module '{module}': {message}"
    return msgspec.json.encode(
        {
            "errorMessage": message,
            "errorType": error_type,
            "requestId": "",
            "stackTrace": stack_trace,
        }
    )


def _error_of(record: Record) -> FunctionError:
    return FunctionError.decode(record.error or b'{"type":"","message":"","stack_trace":[]}')


def _body(error: FunctionError, invocation_id: str) -> dict[str, Any]:
    ended = sandbox_error(error.type, error.message)
    if ended is not None:
        error_type, words = ended
        return {
            "errorType": error_type,
            "errorMessage": f"RequestId: {invocation_id} Error: {words}",
        }
    # The runtime's own have no frames; a class of a handler may have the same name.
    is_result = error.type == "InvalidResult" and not error.stack_trace
    if too_large := is_result and _TOO_LARGE.match(error.message):
        most = int(too_large[1]) + _ADDED_BYTES
        return {
            "errorMessage": "Response payload size exceeded maximum allowed payload size "
            f"({most} bytes).",
            "errorType": "Function.ResponseSizeTooLarge",
        }
    return {
        "errorMessage": f"Unable to marshal response: {error.message}"
        if is_result
        else error.message,
        "errorType": error.type if error.stack_trace else type_of(error.type),
        "requestId": invocation_id,
        "stackTrace": list(error.stack_trace),
    }
