"""Traces of requests and attempts, told to an OpenTelemetry collector if the environment says so.

Nothing of OpenTelemetry is imported unless they are on; then it has to be installed.
"""

from runtime.tracing.switch import start
from runtime.tracing.terms import OFF, AttemptEnd, RequestSpan, Tracing

__all__ = ["OFF", "AttemptEnd", "RequestSpan", "Tracing", "start"]
