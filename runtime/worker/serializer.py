"""How messages are read: as kombu reads JSON, except that no payload can break it.

kombu turns `{"__type__": "uuid", "__value__": ...}` into the object that a Python producer put in.
A payload from HTTP may hold such members by chance or malice; where they make no object they stay
what they are. (With stock kombu the message is dropped, and its caller waits for ever.)
"""

from typing import Any

from kombu import serialization
from kombu.utils import json

from runtime import json_text

# A payload's place in a message: an array of arguments, keyword arguments, and options.
_ENVELOPE_LEVELS = 5


def install() -> None:
    """Read `application/json` this way in this process."""
    serialization.register(  # type: ignore[no-untyped-call]
        "json", json.dumps, loads, content_type="application/json", content_encoding="utf-8"
    )


def loads(text: Any) -> Any:
    """Read JSON text, or bytes that hold it, unless it is nested too deeply to be passed on."""
    raw = text.encode() if isinstance(text, str) else bytes(text)
    json_text.check_nesting(raw, deepest=json_text.MAX_NESTING + _ENVELOPE_LEVELS)
    return json.loads(text, object_hook=_object)  # type: ignore[no-untyped-call]


def _object(members: dict[str, Any]) -> Any:
    try:
        return json.object_hook(members)
    except Exception:  # noqa: BLE001  whatever a registered decoder raises, it is not our object
        return members
