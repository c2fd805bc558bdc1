"""The parameters and headers that several operations have in common."""

from typing import Any

from runtime.settings import Settings

_TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

# Of what asks for invocations; the first is for one that can be waited for.
WAITING = ("Prefer", "Idempotency-Key")
ASKING = ("Eyas-Delay", "Eyas-Callback", "traceparent")
# Of an event in binary mode.
EVENT = ("ce-specversion", "ce-id", "ce-source", "ce-type", "ce-subject", "ce-time")


def parameters(settings: Settings) -> dict[str, Any]:
    """Return the parameters by their names among the components."""
    sent = {
        "X-Request-Id": _text(
            "Comes back in the answer, and is on all log lines; any other is replaced",
            pattern="^[!-~]{1,128}$",
        ),
        "Prefer": _text(
            f"`wait=N` waits up to N seconds for the end, at most {settings.max_wait_seconds}; "
            "other preferences are ignored (RFC 7240)",
            examples=["wait=5"],
        ),
        "Idempotency-Key": _text(
            "A name for the request: sent again, it is answered about the first invocation. "
            "In double quotes, or without if it has no quote, comma and backslash",
            pattern=r'^("([ !#-\[\]-~]|\\["\\])+"|[!#-+\--\[\]-~]+)$',
            maxLength=255,
            examples=['"order-7"'],
        ),
        "Eyas-Delay": {
            "description": "Seconds before which it does not run, with decimals or without",
            "schema": {
                "type": "number",
                "minimum": 0,
                "maximum": settings.max_delay_seconds,
                "examples": [90, 0.5],
            },
        },
        "Eyas-Callback": _text(
            "A URL that is told of the end, by a signed CloudEvent"
            + ("" if settings.callback_key else "; refused here: EYAS_CALLBACK_SECRET is not set"),
            format="uri",
            examples=["https://example.com/hook"],
        ),
        "traceparent": _text("The trace to continue (W3C Trace Context)", examples=[_TRACE]),
        "ce-specversion": _text("Makes the request an event in binary mode", const="1.0"),
        "ce-id": _text("Of an event in binary mode", minLength=1),
        "ce-source": _text("Of an event in binary mode", minLength=1),
        "ce-type": _text("Of an event in binary mode", minLength=1),
        "ce-subject": _text("Of an event in binary mode", minLength=1),
        "ce-time": _text("Of an event in binary mode", format="date-time"),
        "WebHook-Request-Origin": _text("Who asks whether they may deliver events here"),
        "Last-Event-ID": _text("The id of the event that came last"),
        "If-None-Match": _text("The ETag of an earlier answer"),
    }
    return {
        name: {"name": name, "in": place, **one}
        for place, those in (("header", sent), ("query", _IN_QUERY), ("path", _IN_PATH))
        for name, one in those.items()
    }


def headers() -> dict[str, Any]:
    """Return the headers of answers by their names among the components."""
    return {
        "X-Request-Id": _answered("The id of the request", is_required=True),
        "Location": _answered("The path of the invocation's record, if it is one"),
        "Preference-Applied": _answered("The wait that was granted, such as `wait=5`"),
        "Idempotent-Replayed": _answered("`true` if the answer is about an earlier request"),
        "Retry-After": _answered("Seconds after which to try again", is_required=True),
        "Vary": _answered("`Prefer`: the answer depends on it", is_required=True),
        "Allow": _answered("The methods of this path", is_required=True),
        "WebHook-Allowed-Origin": _answered("The sender that may deliver events here"),
        "WebHook-Allowed-Rate": _answered("`*`: as many as it likes"),
        "ETag": _answered("Changes when the document does", is_required=True),
        "Cache-Control": _answered(
            "`no-cache`: ask whether it has changed; `no-store`: it is for now only",
            is_required=True,
        ),
    }


def _text(description: str, **schema: Any) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string", **schema}}


def _answered(description: str, *, is_required: bool = False) -> dict[str, Any]:
    required = {"required": True} if is_required else {}
    return {"description": description, **required, "schema": {"type": "string"}}


_IN_QUERY = {
    "limit": {
        "description": "How many at most; fewer come if they are large",
        "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
    },
    "cursor": _text("The `next_cursor` of the answer before"),
    "function": _text("Only of the function of this name"),
    "status": {
        "description": "Only with one of these",
        "style": "form",
        "explode": False,
        "schema": {"type": "array", "items": {"$ref": "#/components/schemas/Status"}},
    },
    "since": _text("Only those accepted since then", format="date-time"),
}
_IN_PATH = {
    "name": _text("Of a function, a schedule or a file", minLength=1) | {"required": True},
    "invocation_id": _text("Of an invocation", minLength=1) | {"required": True},
    "task_id": _text("The id of an invocation", minLength=1) | {"required": True},
}
