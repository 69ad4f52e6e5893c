"""Locks that nobody but the forking thread may hold while this process forks.

A forked child has only the thread that forked. A lock that another thread held at that moment stays
locked in the child for ever, and the first call there that needs it never returns. Therefore a fork
takes these locks first, which waits until the others are done, and gives them back in the parent
and in the child.
"""

import os
import sys
import threading
from contextlib import suppress
from operator import attrgetter
from typing import Any, Protocol


class Lock(Protocol):
    """What can be taken and given back, such as a ``threading.Lock``."""

    def acquire(self) -> Any:
        """Wait until nobody else has the lock, and take it."""

    def release(self) -> Any:
        """Give the lock back."""


class LockOfModule:
    """The lock of a module that may be imported later; until then there is nothing to take.

    Parameters
    ----------
    module, name : str
        Where the lock is found; the name may have dots.
    """

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name
        self._taken = threading.local()

    def acquire(self) -> None:
        """Take the lock, where it is there."""
        lock = None
        if self._module in sys.modules:
            # A module that is imported at this moment lacks it, as other versions of it may do.
            with suppress(AttributeError):
                lock = attrgetter(self._name)(sys.modules[self._module])
        if lock is not None:
            lock.acquire()
        self._taken.lock = lock

    def release(self) -> None:
        """Give back what the current thread has taken."""
        if self._taken.lock is not None:
            self._taken.lock.release()


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


#: Held while engines and compilers are imported, late and by any thread. A child that is forked in
#: the middle of an import could never import that module.
importing = threading.RLock()
hold_at_fork(importing)


def _take() -> None:
    """Take all locks; where an interrupt ends that, those that were taken are remembered.

    While this waits for one of them, an import may add others, which come before it.
    """
    while True:
        _forking.taken, known = [], tuple(_locks)
        for lock in known:
            lock.acquire()
            _forking.taken.append(lock)
        if known == tuple(_locks):
            return
        _give_back()


def _give_back() -> None:
    """Give back the locks that :func:`_take` took, in the parent or in the child."""
    while _forking.taken:
        _forking.taken.pop().release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_take, after_in_parent=_give_back, after_in_child=_give_back)
