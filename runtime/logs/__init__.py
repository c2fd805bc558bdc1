"""Structured logs: one JSON line per event in a file, and the same for people on the console.

`configure` once per process; then `structlog.get_logger().info("noun.verbed", key=value)`
anywhere, and `with context(invocation_id=...)` for fields that all lines within shall have.
A process with an event loop that logs much calls `write_by_turns`.
"""

from structlog.contextvars import bound_contextvars as context

from runtime.logs.setup import (
    configure,
    flush,
    pass_through,
    reset,
    write_at_once,
    write_by_turns,
)

__all__ = [
    "configure",
    "context",
    "flush",
    "pass_through",
    "reset",
    "write_at_once",
    "write_by_turns",
]
