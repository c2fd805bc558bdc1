"""Structured logs: one JSON line per event in a file, and the same for people on the console.

`configure` once per process; then `structlog.get_logger().info("noun.verbed", key=value)`
anywhere, and `with context(invocation_id=...)` for fields that all lines within shall have.
"""

from structlog.contextvars import bound_contextvars as context

from runtime.logs.setup import configure, pass_through, reset

__all__ = ["configure", "context", "pass_through", "reset"]
