"""What most processes need before they begin: the functions, and a broker.

Apart from `runtime.entry`, because the process that is the broker needs neither.
"""

import structlog

from runtime import entry
from runtime.errors import BrokerUnavailableError, BrokerUnsupportedError, DefinitionError
from runtime.reloading import Reloader, log_failed
from runtime.settings import Settings
from runtime.store import check_server, is_reachable


def load_functions(settings: Settings) -> Reloader:
    """Discover the functions; log each module that failed; exit if there is no such folder."""
    log = structlog.get_logger("runtime")
    try:
        reloader = Reloader.of(settings.functions_dir)
    except DefinitionError as error:
        entry.stop(str(error))
    registry = reloader.registry
    log_failed(registry)
    log.info("functions.loaded", functions=list(registry), failed=len(registry.failed))
    return reloader


def wait_for_broker(url: str) -> None:
    """Return when the broker answers; exit with status 1 if it is of no use to us."""
    entry.wait_until(lambda: is_reachable(url), waiting_for="the broker")
    try:
        check_server(url)
    except BrokerUnsupportedError as error:
        entry.stop(str(error))
    except BrokerUnavailableError:
        wait_for_broker(url)
