"""Arrays in the form in which kernels read them."""

from collections.abc import Callable
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from scipy.sparse import issparse, spmatrix

from ..engine import Matrix

NO_FEATURES, NO_STARTS = np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int64)


def aligned(
    size: int, dtype: np.dtype, allocate: Callable[..., np.ndarray] = np.zeros
) -> np.ndarray:
    """Make a vector that starts at a cache line.

    Parameters
    ----------
    size : int
        Number of elements.
    dtype : numpy.dtype
    allocate : callable
        ``numpy.zeros``, or ``numpy.empty`` for elements that are written before they are read.

    Returns
    -------
    ndarray of shape (size,)
    """
    line = 64 // dtype.itemsize
    raw = allocate(size + line, dtype=dtype)
    offset = (-raw.ctypes.data % 64) // dtype.itemsize
    return raw[offset : offset + size]


def input_arrays(X: Matrix, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Convert X to the arrays that kernels read.

    They are the first three fields of :class:`fastmlp.engines.cpu.arguments.Inputs`.

    Parameters
    ----------
    X : ndarray or scipy.sparse matrix of shape (n_rows, n_features)
    dtype : numpy.dtype

    Returns
    -------
    values : ndarray of shape (n_rows, n_features) or (1, n_entries)
        A dense X, or the entries of a sparse X as one row.
    features : ndarray of shape (0,) or (n_entries,), int32
        The column of each entry of a sparse X; empty for a dense X.
    row_starts : ndarray of shape (0,) or (n_rows + 1,), int64
        Where the entries of each row of a sparse X start; empty for a dense X.
    """
    if not issparse(X):
        return kernel_input(X, dtype), NO_FEATURES, NO_STARTS
    X = cast(spmatrix, X).tocsr()
    values = kernel_input(X.data.reshape(1, -1), dtype)
    return values, kernel_input(X.indices, np.int32), kernel_input(X.indptr, np.int64)


class _Borrowed:
    """The memory of an array, without its read-only flag.

    Parameters
    ----------
    array : ndarray
    """

    def __init__(self, array: np.ndarray) -> None:
        self.array = array  # keeps the memory alive
        interface = array.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


def kernel_input(array: ArrayLike, dtype: DTypeLike) -> np.ndarray:
    """Convert an array to what kernels take: C-contiguous, and not marked read-only.

    numba would compile every kernel again for arrays that are marked read-only. Kernels do not
    write their inputs.

    Parameters
    ----------
    array : array-like
    dtype : numpy.dtype or type
        The type of the result's elements.

    Returns
    -------
    ndarray of the same shape
        It shares the memory of `array` where that needs no conversion, and must not be written.
    """
    array = np.ascontiguousarray(array, dtype)
    return array if array.flags.writeable else np.asarray(_Borrowed(array))
