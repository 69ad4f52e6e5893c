"""Locks that nobody but the forking thread may hold while this process forks.

A forked child has only the thread that forked. A lock that another thread held at that moment stays
locked in the child for ever, and the first call there that needs it never returns. Therefore a fork
takes these locks first, which waits until the others are done, and gives them back in the parent
and in the child.
"""

import os
import threading
from typing import Any, Protocol


class Lock(Protocol):
    """What can be taken and given back, such as a ``threading.Lock``."""

    def acquire(self) -> Any:
        """Wait until nobody else has the lock, and take it."""

    def release(self) -> Any:
        """Give the lock back."""


# In the order in which a fork takes them. Whoever holds one of them may wait for a later one, and
# must not wait for an earlier one.
_locks: list[Lock] = []
# The locks that a fork of the current thread has taken.
_forking = threading.local()


def hold_at_fork(*locks: Lock, innermost: bool = False) -> None:
    """Let every later fork of this process hold some locks.

    Parameters
    ----------
    *locks : objects with ``acquire`` and ``release``
        Whoever holds one of them may wait for those after it.
    innermost : bool, default=False
        Whether threads wait for these locks while they hold others that are held at forks.
    """
    if innermost:
        _locks.extend(locks)
    else:
        _locks[:0] = locks


def _take() -> None:
    """Take all locks; where an interrupt ends that, those that were taken are remembered."""
    _forking.taken = []
    for lock in tuple(_locks):
        lock.acquire()
        _forking.taken.append(lock)


def _give_back() -> None:
    """Give back the locks that :func:`_take` took, in the parent or in the child."""
    while _forking.taken:
        _forking.taken.pop().release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_take, after_in_parent=_give_back, after_in_child=_give_back)
