"""Locks and lines that survive a fork.

A lock that another thread holds at the moment of a fork is held for ever in the child, because
that thread does not exist there: the child's first log line would hang. And what waits to be
written would be written twice, by the parent and by the child. So whatever holds a lock or such
lines registers here: it is told before a fork, and once more in every child.
"""

import os
import weakref


class Forkable:
    """Something with state that a forked child must not take over as it is."""

    def prepare_fork(self) -> None:
        """Write what waits. Called in the parent, whose other threads may go on meanwhile."""

    def renew_in_child(self) -> None:
        """Replace locks, forget what waits. Called in the child, which has one thread."""


_forkables: "weakref.WeakSet[Forkable]" = weakref.WeakSet()


def register(forkable: Forkable) -> None:
    """Prepare `forkable` for every fork from now on, for as long as it is in use."""
    _forkables.add(forkable)


def _prepare_all() -> None:
    for forkable in list(_forkables):
        forkable.prepare_fork()


def _renew_all() -> None:
    for forkable in list(_forkables):
        forkable.renew_in_child()


os.register_at_fork(before=_prepare_all, after_in_child=_renew_all)
