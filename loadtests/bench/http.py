"""Single requests to a server of this machine; the load generator is in `load`."""

import http.client
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from loadtests.bench.load import HOST

OK = 200
_SECONDS = 60.0


class Response(NamedTuple):
    """A status, and a body that is JSON."""

    status: int
    raw: bytes

    @property
    def body(self) -> Any:
        """The JSON value. Raises `ValueError`."""
        return json.loads(self.raw)


def ask(
    port: int,
    path: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    seconds: float = _SECONDS,
) -> Response:
    """Send one request, POST if it has a body. Raises `OSError` if there is no answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=seconds)
    content = {"Content-Type": "application/json"} if body is not None else {}
    try:
        connection.request(
            "GET" if body is None else "POST", path, body, content | dict(headers or {})
        )
        answer = connection.getresponse()
        return Response(answer.status, answer.read())
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP answer: {error!r}") from error
    finally:
        connection.close()
