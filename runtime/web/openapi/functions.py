"""The paths of functions: each has its own, with the schemas of its payload and its result."""

from runtime.errors import (
    BatchTooLargeError,
)
from runtime.registry import Registry
from runtime.settings import Settings
from runtime.web.openapi import headers
from runtime.web.openapi.asking import (
    ASKING,
    ASKING_AND_WAITING,
    BROKER,
    EVENT,
    EVENT_BATCH_TYPE,
    EVENT_TYPE,
    PAYLOAD,
    WAITED,
    accepted,
    event_bodies,
    succeeded,
)
from runtime.web.openapi.described import ANY, Described
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
from runtime.web.openapi.problem_details import of
from runtime.web.openapi.schemas import members

TAG = "functions"
_EVENT_HEADERS = tuple(map(parameter, headers.EVENT))


def paths(registry: Registry, settings: Settings) -> Paths:
    """Describe the list of functions, each function, and what all of them have in common."""
    described: Paths = {"/functions": {"get": _list()}}
    for one in map(Described.of, registry.values()):
        described[one.path] = {
            "get": _describe(one),
            "post": _invoke(one, settings),
            "options": options(f"options_{one.name}", tag=TAG),
        }
        described[f"{one.path}/batch"] = {"post": _invoke_batch(one, settings)}
    described[ANY.path] = {"get": _describe(ANY), "post": _invoke(ANY, settings)}
    described[f"{ANY.path}/batch"] = {"post": _invoke_batch(ANY, settings)}
    return described


def options(operation_id: str, *, tag: str) -> Operation:
    """Describe `OPTIONS`, where senders of events ask whether they may deliver."""
    return Operation(
        operation_id,
        "May a webhook deliver events here?",
        tag=tag,
        parameters=[parameter("WebHook-Request-Origin")],
        answers={
            "200": answer(
                "The methods; to a sender that asks, the permission",
                headers=("Allow", "WebHook-Allowed-Origin", "WebHook-Allowed-Rate"),
            )
        },
        problems=(),
    )


def _list() -> Operation:
    shown = members(
        {
            "functions": {"type": "array", "items": schema("Function")},
            "failed": {"type": "array", "items": schema("FailedModule")},
        }
    )
    return Operation(
        "listFunctions",
        "List the functions",
        tag=TAG,
        answers={"200": answer("All functions, and the modules that failed", content(shown))},
        problems=(),
    )


def _describe(one: Described) -> Operation:
    a_schema = {"type": ["object", "boolean"]}
    shown = members(
        {
            "name": one.name_schema,
            "payload_schema": a_schema,
            "result_schema": a_schema,
            "counts": schema("Counts"),
        }
    )
    return Operation(
        f"describe{one.suffix}",
        f"Describe {one.called}",
        tag=TAG,
        answers={
            "200": answer(
                "Its options, schemas and counts", content({"allOf": [schema("Function"), shown]})
            )
        },
        problems=(*one.problems, *BROKER),
    )


def _invoke(one: Described, settings: Settings) -> Operation:
    return Operation(
        f"invoke{one.suffix}",
        f"Invoke {one.called}",
        description=one.description,
        tag=TAG,
        parameters=(*ASKING_AND_WAITING, *_EVENT_HEADERS),
        request_body=body(
            content(one.payload) | {EVENT_TYPE: event_bodies(settings)[EVENT_TYPE]},
            description="The payload, or an event for this function. Other media types that end "
            "with `+json`, none at all, and the form type that curl sends are read as JSON; a "
            "batch of events is what `/batch` says.",
            is_required=one.is_payload_required,
        ),
        answers={"200": succeeded(one.result, function=one.name_schema), "202": accepted()},
        problems=(*one.problems, *PAYLOAD, *EVENT, *WAITED),
    )


def _invoke_batch(one: Described, settings: Settings) -> Operation:
    payloads = {"type": "array", "items": one.payload, "maxItems": settings.max_batch}
    lines = {"type": "string", "description": "A payload on each line that is not blank"}
    bodies = content(payloads) | content(lines, media_type=NDJSON)
    return Operation(
        f"invokeBatch{one.suffix}",
        f"Invoke {one.called} once for each of many payloads, or not at all",
        description=one.description,
        tag=TAG,
        parameters=ASKING,
        request_body=body(
            bodies | {EVENT_BATCH_TYPE: event_bodies(settings)[EVENT_BATCH_TYPE]},
            description="Payloads, or events for this function",
            is_required=True,
        ),
        answers={
            "202": answer(
                "All are on the broker's disk",
                content(schema("AcceptedBatch")),
                headers=("Idempotent-Replayed",),
            )
        },
        problems=(*one.problems, *PAYLOAD, *EVENT, of(BatchTooLargeError)),
    )
