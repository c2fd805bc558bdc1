"""`python -m runtime.broker`: the embedded broker, in the foreground."""

import asyncio
import os
import sys

from runtime import entry
from runtime.broker.binary import find_binary
from runtime.broker.errors import BrokerRefusedError
from runtime.broker.supervision import run_embedded, run_external


def main() -> None:
    """Run the broker until a signal comes, or the server exits."""
    settings = entry.prepare("broker")
    if settings.redis_url is not None:
        sys.exit(asyncio.run(run_external(settings.redis_url)))
    try:
        binary = find_binary(path=os.environ.get("PATH", os.defpath))
        status = asyncio.run(run_embedded(settings, binary=binary, environment=os.environ))
    except BrokerRefusedError as error:
        entry.stop(str(error))
    sys.exit(status)


if __name__ == "__main__":
    main()
