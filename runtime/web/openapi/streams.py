"""The paths whose answers go on: Server-Sent Events."""

from runtime.web.openapi.asking import RECORD
from runtime.web.openapi.invocations import INVOCATIONS
from runtime.web.openapi.operation import Operation, Paths, answer, content, parameter
from runtime.web.openapi.problem_details import BAD_REQUEST
from runtime.web.openapi.schemas import TEXT

_EVENTS = content(TEXT, media_type="text/event-stream")


def paths() -> Paths:
    """Describe what tells of changes as they happen."""
    return {
        "/invocations/{invocation_id}/events": {"get": _of_one()},
        "/changes": {"get": _of_all()},
    }


def _of_one() -> Operation:
    return Operation(
        "followInvocation",
        "What becomes of an invocation, as it happens",
        tag=INVOCATIONS,
        parameters=[parameter("Last-Event-ID")],
        answers={
            "200": answer(
                "An event `status` with the record at once, one with each change, and the end",
                _EVENTS,
                headers=("Cache-Control",),
            ),
            "204": answer("The event with this id was that of the end"),
        },
        problems=RECORD,
    )


def _of_all() -> Operation:
    return Operation(
        "followChanges",
        "What becomes of all invocations, as it happens",
        description="Of those that end; or, with `status`, of those that come to have it.",
        tag=INVOCATIONS,
        parameters=[parameter("function"), parameter("status")],
        answers={
            "200": answer(
                "Events `status`, each with an excerpt of the record; `listening` says from when "
                "on, and `missed` that some may not have been told",
                _EVENTS,
                headers=("Cache-Control",),
            )
        },
        problems=[BAD_REQUEST],
    )
