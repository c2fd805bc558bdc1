"""The store: the only part of Eyas that speaks to the broker."""

from runtime.store.client import AsyncStore, Store, is_reachable
from runtime.store.watcher import Watcher

__all__ = ["AsyncStore", "Store", "Watcher", "is_reachable"]
