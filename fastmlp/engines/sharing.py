"""Arrays that fits of the same data have in common, so that they are in memory once."""

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

_Made = TypeVar("_Made")
_local = threading.local()


class SharedArrays:
    """What fits in several threads have made of their data.

    Each fit converts its data, most often to the same arrays as the others. An array is shared as
    long as one of them has it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: list[weakref.ref[np.ndarray]] = []

    def shared(self, make: Callable[[], Any]) -> Any:
        """Call a function, in one thread at a time; see :func:`shared`."""
        with self._lock:
            made = make()
            if type(made) is tuple:
                return tuple([self._one_of_equal(part) for part in made])
            return self._one_of_equal(made)

    def _one_of_equal(self, made: Any) -> Any:
        """Return the array that is known and equal, or this one, which then is known."""
        if type(made) is not np.ndarray:
            return made
        arrays = [array for known in self._known if (array := known()) is not None]
        for array in arrays:
            if _are_equal(made, array):
                return array
        self._known = [weakref.ref(array) for array in (*arrays, made)]
        return made


def _are_equal(a: np.ndarray, b: np.ndarray) -> bool:
    """Tell whether two arrays can stand for each other."""
    if (a.shape, a.strides, a.dtype) != (b.shape, b.strides, b.dtype):
        return False
    if a.ctypes.data == b.ctypes.data:
        return True
    return a.dtype.kind in "biuf" and np.array_equal(a, b)


@contextmanager
def sharing(arrays: SharedArrays) -> Iterator[None]:
    """Let :func:`shared` share arrays, for what the current thread does in the context."""
    before = getattr(_local, "arrays", None)
    _local.arrays = arrays
    try:
        yield
    finally:
        _local.arrays = before


def shared(make: Callable[[], _Made]) -> _Made:
    """Make arrays, or take equal ones that another fit has made.

    Parameters
    ----------
    make : callable
        It is called without arguments, and returns an array, or a tuple of arrays and anything
        else. Nobody may change these arrays.

    Returns
    -------
    object
        What `make` returned; within :func:`sharing`, dense arrays may be those of other fits.
    """
    arrays: SharedArrays | None = getattr(_local, "arrays", None)
    made: _Made = make() if arrays is None else arrays.shared(make)
    return made
