"""The paths of invocations, and of dead letters."""

from typing import Any

from runtime.errors import (
    ConflictError,
    InvalidPayloadError,
    UnknownDeadLetterError,
    UnknownFunctionError,
)
from runtime.web.openapi.asking import (
    ASKING_AND_WAITING,
    BODY,
    BROKER,
    RECORD,
    WAITED,
    accepted,
    succeeded,
)
from runtime.web.openapi.operation import (
    NDJSON,
    Operation,
    Paths,
    answer,
    body,
    content,
    parameter,
    schema,
)
from runtime.web.openapi.problem_details import BAD_REQUEST, of
from runtime.web.openapi.schemas import COUNT, TEXT, members, or_null

INVOCATIONS, DEAD_LETTERS = "invocations", "dead-letters"
_PAGE = (parameter("limit"), parameter("cursor"))
_LETTER = (of(UnknownDeadLetterError), *BROKER)


def paths() -> Paths:
    """Describe what became of invocations, and what can be done with them."""
    return {
        "/invocations": {"get": _list()},
        "/invocations/{invocation_id}": {"get": _get(), "delete": _cancel()},
        "/invocations/{invocation_id}/logs": {"get": _logs()},
        "/invocations/{invocation_id}/replay": {"post": _replay()},
        "/dead-letters": {"get": _list_letters(), "delete": _purge_all()},
        "/dead-letters/redrive": {"post": _redrive_all()},
        "/dead-letters/{invocation_id}": {
            "get": _get_letter(),
            "delete": _purge(),
        },
        "/dead-letters/{invocation_id}/redrive": {"post": _redrive()},
    }


def links() -> dict[str, Any]:
    """Return what can be done with an invocation that an answer has the id of."""
    return {
        name: {
            "operationId": operation_id,
            "parameters": {"invocation_id": f"$response.body#/{member}"},
            "description": text,
        }
        for name, operation_id, member, text in (
            ("record", "getInvocation", "id", "What becomes of it"),
            ("logs", "getInvocationLogs", "id", "What is logged about it"),
            ("cancel", "cancelInvocation", "id", "Cancel it"),
            ("replay", "replayInvocation", "id", "Run it once more"),
            ("deadLetter", "getDeadLetter", "invocation_id", "Why it was given up"),
            ("redrive", "redriveDeadLetter", "invocation_id", "Run it again"),
        )
    }


def _page(name: str, of_what: str) -> dict[str, Any]:
    listed = {"type": "array", "items": schema(of_what)}
    return answer(
        "The latest first; `next_cursor` is null at the end",
        content(members({name: listed, "next_cursor": or_null(TEXT)})),
    )


def _list() -> Operation:
    return Operation(
        "listInvocations",
        "List the latest invocations",
        tag=INVOCATIONS,
        parameters=[*map(parameter, ("function", "status", "since")), *_PAGE],
        answers={"200": _page("invocations", "Record")},
        problems=[BAD_REQUEST, *BROKER],
    )


def _get() -> Operation:
    return Operation(
        "getInvocation",
        "What became of an invocation",
        tag=INVOCATIONS,
        parameters=[parameter("Prefer")],
        answers={
            "200": answer(
                "Its record; after `Prefer: wait=N`, as it then is",
                content(schema("Record")),
                headers=("Preference-Applied", "Vary"),
            )
        },
        problems=RECORD,
    )


def _cancel() -> Operation:
    return Operation(
        "cancelInvocation",
        "Cancel an invocation",
        description="One that runs is stopped soon; the answer then says `running`.",
        tag=INVOCATIONS,
        answers={
            "202": answer(
                "It is cancelled, or will be",
                content(schema("Accepted")),
                headers=("Location",),
            )
        },
        problems=[of(ConflictError), *RECORD],
    )


def _logs() -> Operation:
    return Operation(
        "getInvocationLogs",
        "What was logged about an invocation",
        tag=INVOCATIONS,
        answers={
            "200": answer(
                "Lines of JSON, oldest first", content({"type": "string"}, media_type=NDJSON)
            )
        },
        problems=RECORD,
    )


def _replay() -> Operation:
    return Operation(
        "replayInvocation",
        "Run an invocation once more, as a new one",
        tag=INVOCATIONS,
        parameters=ASKING_AND_WAITING,
        request_body=body(
            content({}),
            description="Another payload; without a body, it is that of the first invocation",
            is_required=False,
        ),
        answers={"200": succeeded({}), "202": accepted()},
        problems=[of(UnknownFunctionError), of(InvalidPayloadError), *BODY, *WAITED],
    )


def _list_letters() -> Operation:
    return Operation(
        "listDeadLetters",
        "List what was given up",
        tag=DEAD_LETTERS,
        parameters=[parameter("function"), *_PAGE],
        answers={"200": _page("dead_letters", "DeadLetter")},
        problems=[BAD_REQUEST, *BROKER],
    )


def _purge_all() -> Operation:
    return Operation(
        "purgeDeadLetters",
        "Forget all dead letters, or those of one function",
        tag=DEAD_LETTERS,
        parameters=[parameter("function")],
        answers={"200": answer("How many", content(members({"purged": COUNT})))},
        problems=BROKER,
    )


def _redrive_all() -> Operation:
    return Operation(
        "redriveDeadLetters",
        "Run all dead letters again, or those of one function",
        tag=DEAD_LETTERS,
        parameters=[parameter("function")],
        answers={"202": answer("How many", content(members({"redriven": COUNT})))},
        problems=BROKER,
    )


def _get_letter() -> Operation:
    return Operation(
        "getDeadLetter",
        "One dead letter",
        tag=DEAD_LETTERS,
        answers={"200": answer("Its record and the reason", content(schema("DeadLetter")))},
        problems=_LETTER,
    )


def _purge() -> Operation:
    return Operation(
        "purgeDeadLetter",
        "Forget a dead letter",
        tag=DEAD_LETTERS,
        answers={"204": answer("It is forgotten")},
        problems=_LETTER,
    )


def _redrive() -> Operation:
    return Operation(
        "redriveDeadLetter",
        "Run a dead letter again, under the same id",
        tag=DEAD_LETTERS,
        answers={"202": answer("It is queued", content(schema("Accepted")), headers=("Location",))},
        problems=_LETTER,
    )
