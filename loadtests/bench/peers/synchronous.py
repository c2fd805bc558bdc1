"""The handler called synchronously: `functions-framework --source=... --target=fib`."""

from typing import Any

import flask
import functions_framework

from loadtests.bench.peers import peer


@functions_framework.http
def fib(request: flask.Request) -> Any:
    """Return the result as JSON."""
    return flask.jsonify(peer.fib(request.get_json()["number"]))
