"""Whether there are traces: what the standard variables of OpenTelemetry say.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from collections.abc import Mapping

from runtime.errors import SettingsError
from runtime.tracing.terms import OFF, Tracing

_EXPORTER = "OTEL_TRACES_EXPORTER"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
# The second is for traces only, and counts more.
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
_PROTOCOL = "http/protobuf"
_NOT_INSTALLED = (
    "traces are on (OTEL_...), and OpenTelemetry is not installed ({}): "
    "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http, "
    "or set OTEL_SDK_DISABLED=true"
)


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Tell whether traces are on. An empty variable counts as unset."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if exporter := environment.get(_EXPORTER):
        return exporter != "none"
    return any(environment.get(name) for name in _ENDPOINTS)


def problems_in(environment: Mapping[str, str]) -> list[str]:
    """Return what is asked for and cannot be done, a line each."""
    problems = []
    exporter = environment.get(_EXPORTER) or "otlp"
    if exporter != "otlp":
        problems.append(f"{_EXPORTER}: expected otlp or none; got {exporter!r}")
    for name in _PROTOCOLS:
        protocol = environment.get(name) or _PROTOCOL
        if protocol != _PROTOCOL:
            problems.append(f"{name}: expected {_PROTOCOL}; got {protocol!r}")
    return problems


def start(environment: Mapping[str, str]) -> Tracing:
    """Return tracing as the environment wants it: off, or on with a thread that sends spans.

    Raises `SettingsError` for what is not supported, and if OpenTelemetry is not installed.
    """
    if not is_wanted(environment):
        return OFF
    if problems := problems_in(environment):
        raise SettingsError(problems)
    try:
        from runtime.tracing.spans import Spans  # noqa: PLC0415  only if traces are on
    except ImportError as error:
        raise SettingsError([_NOT_INSTALLED.format(error)]) from error
    return Spans.to_collector()
