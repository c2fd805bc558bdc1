"""An invocation as AWS's durable execution: its name and ARN, its status, its history.

With AWS, only functions that were created as durable ones have executions. Here every invocation
is one, whose only operation is itself.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from runtime.invocation import Record, Status
from runtime.lambda_context import DEFAULT_ACCOUNT, DEFAULT_REGION, LATEST, Calling
from runtime.lambda_errors import TIMED_OUT, error_object
from runtime.web.aws import names
from runtime.web.aws.errors import LambdaError, failed_validation
from runtime.web.aws.names import Caller, Target
from runtime.web.exchange import Request

_LONGEST_NAME = 64
# In AWS's model (botocore, `lambda/2015-03-31`): DurableExecutionName, and DurableExecutionArn.
# Functions of ours may have dots in their names.
_NAME_PATTERN = "[a-zA-Z0-9-_]+"
_ARN_PATTERN = (
    r"arn:([a-zA-Z0-9-]+):lambda:([a-zA-Z0-9-]+):(\d{12}):function:([a-zA-Z0-9_\.-]+)"
    r":(\$LATEST(?:\.PUBLISHED)?|[0-9]+)/durable-execution/([a-zA-Z0-9_-]+)/([a-zA-Z0-9_-]+)"
)
_NAME = re.compile(_NAME_PATTERN)
_ARN = re.compile(_ARN_PATTERN, re.ASCII)
_ID_GROUP = 7
_NOBODY = Caller(DEFAULT_ACCOUNT, None)
_ENDS = {
    "SUCCEEDED": "ExecutionSucceeded",
    "FAILED": "ExecutionFailed",
    "TIMED_OUT": "ExecutionTimedOut",
    "STOPPED": "ExecutionStopped",
}


def name_in(req: Request) -> str | None:
    """Return the name that a call of Invoke gives to its execution; raises `LambdaError`."""
    name = req.header(b"x-amz-durable-execution-name")
    if name is None:
        return None
    if len(name) > _LONGEST_NAME:
        raise failed_validation(
            name, "durableExecutionName", f"have length less than or equal to {_LONGEST_NAME}"
        )
    if not _NAME.fullmatch(name):
        raise failed_validation(
            name, "durableExecutionName", f"satisfy regular expression pattern: {_NAME_PATTERN}"
        )
    return name


def arn_of(target: Target, *, name: str | None, invocation_id: str) -> str:
    """Return the ARN of an execution; without a name it is called like the invocation."""
    return f"{target.plain_arn}:{LATEST}/durable-execution/{name or invocation_id}/{invocation_id}"


def id_in(arn: str) -> str:
    """Return the invocation's id in an ARN of that form; raises `LambdaError` for any other."""
    found = _ARN.fullmatch(arn)
    if found is None:
        raise failed_validation(
            arn, "durableExecutionArn", f"satisfy regular expression pattern: {_ARN_PATTERN}"
        )
    return found[_ID_GROUP]


def already_started(name: str) -> LambdaError:
    """Say that a name was used before, with another payload."""
    return LambdaError(
        "DurableExecutionAlreadyStartedException",
        f"The durable execution '{name}' of this function was started with another payload.",
    )


def not_found(arn: str) -> LambdaError:
    """Say that there is no such execution, or not any more."""
    return LambdaError("ResourceNotFoundException", f"Durable execution not found: {arn}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """A record, and how its caller has named the function and the execution."""

    record: Record
    target: Target
    name: str

    @classmethod
    def of(cls, record: Record) -> Self:
        """Read a record. One that no call of the Lambda API has made has the usual account."""
        calling = Calling.decode(record.calling)
        arn = calling.invoked_function_arn
        usual = Target(record.function, None, DEFAULT_ACCOUNT, DEFAULT_REGION)
        return cls(
            record=record,
            target=names.target_of(arn, None, _NOBODY) if arn else usual,
            name=calling.execution_name or record.id,
        )

    @property
    def arn(self) -> str:
        return arn_of(self.target, name=self.name, invocation_id=self.record.id)

    @property
    def ended_at_us(self) -> int | None:
        return self.record.finished_at_us if self.record.is_terminal else None

    @property
    def status(self) -> str:
        """AWS's word. One that has become too old, or was stopped at its timeout, is TIMED_OUT."""
        match self.record.status:
            case Status.SUCCEEDED:
                return "SUCCEEDED"
            case Status.CANCELLED:
                return "STOPPED"
            case Status.EXPIRED:
                return "TIMED_OUT"
            case Status.FAILED:
                is_timeout = error_object(self.record)["ErrorType"] == TIMED_OUT
                return "TIMED_OUT" if is_timeout else "FAILED"
            case _:
                return "RUNNING"

    def described(self, *, has_data: bool) -> dict[str, Any]:
        """Return what GetDurableExecution answers; data are payload, result and error."""
        record = self.record
        shown: dict[str, Any] = {
            "DurableExecutionArn": self.arn,
            "DurableExecutionName": self.name,
            "FunctionArn": f"{self.target.plain_arn}:{LATEST}",
            "StartTimestamp": timestamp(record.accepted_at_us),
            "Status": self.status,
            "Version": LATEST,
            "ExecutionDataIncluded": has_data,
        }
        if self.ended_at_us is not None:
            shown["EndTimestamp"] = timestamp(self.ended_at_us)
        if has_data:
            shown["InputPayload"] = record.payload.decode()
            if record.status is Status.SUCCEEDED:
                shown["Result"] = _result_of(record)
            elif record.is_terminal:
                shown["Error"] = error_object(record)
        return shown

    def history(self, *, timeout_seconds: float, has_data: bool) -> list[dict[str, Any]]:
        """Return AWS's Events: the start and, if it has ended, the end.

        `timeout_seconds` is that of one attempt.
        """

        def detail(value: Any) -> dict[str, Any]:
            return {"Payload": value, "Truncated": False} if has_data else {"Truncated": True}

        record = self.record
        started = {
            "Input": detail(record.payload.decode()),
            "ExecutionTimeout": math.ceil(timeout_seconds),
        }
        events = [self._event(1, "ExecutionStarted", record.accepted_at_us, started)]
        if self.ended_at_us is not None:
            ended = {"Error": detail(error_object(record))}
            if record.status is Status.SUCCEEDED:
                ended = {"Result": detail(_result_of(record))}
            events.append(self._event(2, _ENDS[self.status], self.ended_at_us, ended))
        return events

    def _event(
        self, number: int, kind: str, at_us: int, details: Mapping[str, Any]
    ) -> dict[str, Any]:
        return {
            "EventType": kind,
            "EventId": number,
            "Id": self.record.id,
            "Name": self.name,
            "EventTimestamp": timestamp(at_us),
            f"{kind}Details": details,
        }


def timestamp(at_us: int) -> float:
    """Return a time as AWS writes it: seconds since the Unix epoch, to the millisecond."""
    return at_us // 1000 / 1000


def _result_of(record: Record) -> str:
    return (record.result or b"null").decode()
