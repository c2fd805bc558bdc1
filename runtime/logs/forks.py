"""Locks that survive a fork.

A lock that another thread holds at the moment of a fork is held for ever in the child, because
that thread does not exist there: the child's first log line would hang. So whatever holds a lock
registers here, and makes itself a new one in every child.
"""

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """Something with state that a forked child must not take over as it is."""

    def renew_in_child(self) -> None:
        """Replace locks and the like. Called in the child, which has one thread."""


_forkables: "weakref.WeakSet[Forkable]" = weakref.WeakSet()


def register(forkable: Forkable) -> None:
    """Renew `forkable` in every child forked from now on, for as long as it is in use."""
    _forkables.add(forkable)


def _renew_all() -> None:
    for forkable in list(_forkables):
        forkable.renew_in_child()


os.register_at_fork(after_in_child=_renew_all)
