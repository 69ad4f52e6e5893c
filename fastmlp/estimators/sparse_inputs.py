"""Checks of sparse matrices, whose indices compiled code believes.

SciPy checks few of them: files and code that builds matrices by hand may bring indices that point
outside of the matrix, and then SciPy's own conversions read and write outside of their arrays.
"""

from typing import Any

import numpy as np
from scipy.sparse import issparse


def check_sparse(name: str, matrix: Any) -> None:
    """Raise ValueError unless all indices of a sparse matrix lie inside of it.

    Anything but a sparse matrix passes. Repeated and unsorted entries are valid.

    Parameters
    ----------
    name : str
        What the messages call the matrix.
    matrix : object
        A sparse matrix or array in any of SciPy's formats.

    Raises
    ------
    ValueError
        When indices, row starts or lengths are wrong.
    """
    if not issparse(matrix):
        return
    if matrix.format in ("csr", "csc", "bsr"):
        _check_compressed(name, matrix)
    elif matrix.format == "coo":
        _check_coordinates(name, matrix.data, matrix.coords, matrix.shape)
    elif matrix.format == "lil":
        _check_lists(name, matrix)
    elif matrix.format == "dok":
        keys = np.array(list(matrix.keys()), dtype=np.int64).reshape(-1, matrix.ndim)
        _check_coordinates(name, keys[:, 0], tuple(keys.T), matrix.shape)
    elif matrix.format == "dia" and (
        matrix.data.ndim != 2 or matrix.offsets.shape != matrix.data.shape[:1]
    ):
        raise _error(
            name, matrix, f"{matrix.offsets.size} offsets and data of shape {matrix.data.shape}"
        )


def _check_compressed(name: str, matrix: Any) -> None:
    """Check the starts, indices and lengths of compressed rows, columns or blocks."""
    shape = matrix.shape if matrix.ndim == 2 else (1, *matrix.shape)
    block = matrix.data.shape[1:] if matrix.format == "bsr" else (1, 1)
    if len(block) != 2 or min(block) < 1 or shape[0] % block[0] or shape[1] % block[1]:
        raise _error(name, matrix, f"blocks of shape {block}")
    n_lines, n_places = shape[0] // block[0], shape[1] // block[1]
    if matrix.format == "csc":
        n_lines, n_places = n_places, n_lines
    starts, indices = matrix.indptr, matrix.indices
    for field in ("indptr", "indices"):
        array = getattr(matrix, field)
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise _error(name, matrix, f"`{field}` of type {array.dtype} and shape {array.shape}")
    if starts.size != n_lines + 1 or starts[0] != 0:
        raise _error(
            name, matrix, f"`indptr` of {starts.size} elements, not {n_lines + 1} that begin with 0"
        )
    if (starts[1:] < starts[:-1]).any():
        raise _error(name, matrix, "an `indptr` that falls")
    n_entries = int(starts[-1])
    if n_entries > min(indices.size, len(matrix.data)):
        raise _error(
            name,
            matrix,
            f"`indptr` that ends at {n_entries}, {indices.size} indices and "
            f"{len(matrix.data)} values",
        )
    _check_range(name, matrix.format, indices[:n_entries], n_places)


def _check_coordinates(name: str, data: Any, coordinates: Any, shape: tuple[int, ...]) -> None:
    """Check the row and column numbers of entries."""
    for places, size in zip(coordinates, shape, strict=True):
        if np.shape(places) != np.shape(data):
            raise ValueError(
                f"{name} is a damaged sparse matrix (coo): {np.size(data)} values and "
                f"{np.size(places)} coordinates; build it anew"
            )
        _check_range(name, "coo", np.asarray(places), size)


def _check_lists(name: str, matrix: Any) -> None:
    """Check the lists of a matrix that has a list of columns and one of values for each row."""
    rows, values = matrix.rows, matrix.data
    if len(rows) != matrix.shape[0] or [len(r) for r in rows] != [len(v) for v in values]:
        raise _error(name, matrix, "lists of columns and of values that do not fit")
    columns = np.array([column for row in rows for column in row], dtype=np.int64)
    _check_range(name, "lil", columns, matrix.shape[1])


def _check_range(name: str, kind: str, indices: np.ndarray, size: int) -> None:
    if indices.size and not (indices.min() >= 0 and indices.max() < size):
        wrong = indices.min() if indices.min() < 0 else indices.max()
        raise ValueError(
            f"{name} is a damaged sparse matrix ({kind}): the index {wrong} is not in "
            f"[0, {size}); build it anew"
        )


def _error(name: str, matrix: Any, what: str) -> ValueError:
    return ValueError(
        f"{name} is a damaged sparse matrix ({matrix.format}) of shape {matrix.shape}: it has "
        f"{what}; build it anew"
    )
