"""The paths that only an emulator has."""

from runtime.errors import LONGEST_SECONDS
from runtime.web.openapi.asking import BODY, BROKER
from runtime.web.openapi.operation import Operation, Paths, answer, body, content, schema
from runtime.web.openapi.problem_details import FORBIDDEN
from runtime.web.openapi.schemas import COUNT, SECONDS, members

TAG = "emulator"


def paths() -> Paths:
    """Describe moving the clock, and forgetting everything."""
    return {
        "/_emulator/clock": {"get": _clock()},
        "/_emulator/clock/advance": {"post": _advance()},
        "/_emulator/reset": {"post": _reset()},
    }


def _clock() -> Operation:
    return Operation(
        "getClock",
        "What time it is for invocations",
        tag=TAG,
        answers={"200": answer("The clock", content(schema("Clock")))},
        problems=[FORBIDDEN, *BROKER],
    )


def _advance() -> Operation:
    seconds = SECONDS | {"maximum": LONGEST_SECONDS}
    shown = {"allOf": [schema("Clock")], **members({"queued": COUNT})}
    return Operation(
        "advanceClock",
        "Let time pass",
        tag=TAG,
        request_body=body(
            content(members({"seconds": seconds}, examples=[{"seconds": 120}])),
            description="How much",
            is_required=True,
        ),
        answers={"200": answer("The clock, and what has become due", content(shown))},
        problems=[FORBIDDEN, *BODY, *BROKER],
    )


def _reset() -> Operation:
    shown = members({"open": COUNT, "removed": COUNT})
    return Operation(
        "reset",
        "Forget all invocations; the clock is the right one again",
        tag=TAG,
        answers={"200": answer("How many there were", content(shown))},
        problems=[FORBIDDEN, *BROKER],
    )
