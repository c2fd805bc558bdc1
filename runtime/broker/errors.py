"""Why the embedded broker does not start."""

from runtime.errors import EyasError


class BrokerRefusedError(EyasError):
    """The embedded broker cannot be started as configured; the text names what to change."""
