"""What most processes need before they begin: the functions, and a broker.

Apart from `runtime.entry`, because the process that is the broker needs neither.
"""

import structlog

from runtime import entry
from runtime.errors import BrokerUnavailableError, BrokerUnsupportedError, DefinitionError
from runtime.registry import Registry
from runtime.settings import Settings
from runtime.store import check_server, is_reachable


def load_functions(settings: Settings) -> Registry:
    """Discover the functions; log each module that failed; exit if there is no such folder."""
    log = structlog.get_logger("runtime")
    try:
        registry = Registry.discover(settings.functions_dir)
    except DefinitionError as error:
        entry.stop(str(error))
    for failed in registry.failed:
        log.error(
            "module.failed",
            module=failed.module,
            path=failed.path,
            error=failed.error,
            exception=failed.traceback,
        )
    log.info("functions.loaded", functions=list(registry), failed=len(registry.failed))
    return registry


def wait_for_broker(url: str) -> None:
    """Return when the broker answers; exit with status 1 if it is of no use to us."""
    entry.wait_until(lambda: is_reachable(url), waiting_for="the broker")
    try:
        check_server(url)
    except BrokerUnsupportedError as error:
        entry.stop(str(error))
    except BrokerUnavailableError:
        wait_for_broker(url)
