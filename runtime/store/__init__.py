"""The store: the only part of Eyas that speaks to the broker."""

from runtime.store.client import (
    AsyncStore,
    Store,
    check_server,
    is_listening,
    is_reachable,
    is_unknown_script,
)
from runtime.store.group_commit import GroupCommit
from runtime.store.watcher import Watcher

__all__ = [
    "AsyncStore",
    "GroupCommit",
    "Store",
    "Watcher",
    "check_server",
    "is_listening",
    "is_reachable",
    "is_unknown_script",
]
