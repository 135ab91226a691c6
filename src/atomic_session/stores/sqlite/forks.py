"""
What happens to open stores in a process that forks.

SQLite keeps in memory which locks a process holds, and a child inherits that memory but not the
locks: connections that the child opens would believe themselves protected, and another process
could take the log away from under them.  So every connection is closed before the fork; parent
and child open new ones at their next use.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol

__all__ = ["watch"]


class Forking(Protocol):
    """What a store does around a fork."""

    def before_fork(self) -> None: ...
    def after_fork_in_parent(self) -> None: ...
    def after_fork_in_child(self) -> None: ...


_watched: weakref.WeakSet[Forking] = weakref.WeakSet()
_forking: list[Forking] = []
_one_at_a_time = threading.Lock()


def watch(store: Forking) -> None:
    """Take *store* through every fork, for as long as it lives."""
    with _one_at_a_time:
        _watched.add(store)


def _before() -> None:
    _one_at_a_time.acquire()
    _forking.extend(_watched)
    for store in _forking:
        store.before_fork()


def _after_in_parent() -> None:
    while _forking:
        _forking.pop().after_fork_in_parent()
    _one_at_a_time.release()


def _after_in_child() -> None:
    while _forking:
        _forking.pop().after_fork_in_child()
    _one_at_a_time.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
