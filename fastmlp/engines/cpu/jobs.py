"""Jobs: the arrays that Python passes to compiled code, as one vector of addresses and sizes.

This module imports no compiler.
"""

from collections.abc import Sequence

import numpy as np

# Numbers of the arrays of every job.
LAYERS, SETTINGS, CALLS, VALUES, FEATURES, ROW_STARTS, ORDER = range(7)
# Numbers of the further arrays of a job of training.
SCALARS, WORK, TARGETS, SAMPLE_WEIGHT, SUMS, SHARES, RESULTS = range(7, 14)
# The number of the further array of a job of prediction.
OUTPUTS = 7
# Numbers of the further arrays of a job of input gradients: the result, the outputs whose gradients
# it has, and two numbers: how these are differentiated, and whether for the entries of X alone.
GRADIENTS, UNITS, RULE = range(7, 10)
# Numbers of the arrays of a job of row losses.
ROW_TARGETS, ROW_OUTPUTS, ROW_PARAMETERS, ROW_RESULT = range(4)

# Columns of the matrix with what is added up over the steps of each epoch.
EPOCH_LOSS, GRADIENT_NORM = 0, 1
N_RESULTS = 2
# From this element of the vector of sums on there is one loss for each row of the batch. After
# these there are three numbers for each patch of weights (see patch_sums.py): first the sums of
# squares of all patches, then their sums of absolute values, and then the sums of squares of their
# gradients.
N_SUMS = 8

# The number of elements that a job has for each array: its address, and two dimensions.
FIELDS = 3


def describe(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Make a job, from which kernels read arrays.

    They do so with :func:`~fastmlp.engines.cpu.views.vector_at` and
    :func:`~fastmlp.engines.cpu.views.matrix_at`.

    Parameters
    ----------
    arrays : sequence of ndarray of shape (n,) or (n, m)
        They are C-contiguous, and must not be freed while the job is used.

    Returns
    -------
    ndarray of shape (FIELDS * n_arrays,), int64
    """
    job: list[int] = []
    for array in arrays:
        shape = array.shape
        job += array.ctypes.data, shape[0], shape[-1]
    return np.array(job, dtype=np.int64)


def set_array(job: np.ndarray, number: int, array: np.ndarray) -> None:
    """Replace an array of a job by another one, such as a part of its rows.

    Parameters
    ----------
    job : ndarray of shape (FIELDS * n_arrays,), int64
        A job that :func:`describe` has made; modified in place.
    number : int
        The number of the array in the job.
    array : ndarray of shape (n,) or (n, m)
        As for :func:`describe`.
    """
    first = number * FIELDS
    job[first : first + FIELDS] = array.ctypes.data, array.shape[0], array.shape[-1]


def set_size(job: np.ndarray, number: int, size: int) -> None:
    """Change the size of a vector of a job.

    Parameters
    ----------
    job : ndarray of shape (FIELDS * n_arrays,), int64
        A job that :func:`describe` has made; modified in place.
    number : int
        The number of the vector among the arrays of the job.
    size : int
        Its new number of elements, which is no larger than that of the vector itself.
    """
    job[number * FIELDS + 1] = size


def work_size(n_features: int, most_entries: int) -> int:
    """Compute the size of one thread's part of the work array.

    What it holds is told by :func:`~fastmlp.engines.cpu.sparse.group_by_feature`.

    Parameters
    ----------
    n_features : int
        The number of features of X.
    most_entries : int
        The largest number of entries that a batch can have.

    Returns
    -------
    int
    """
    return n_features + 2 + 2 * most_entries
