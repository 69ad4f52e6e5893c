"""Numbers whose values recur, and whether single values say more than other inputs do.

Where the same amounts or scores occur again and again, one of them can mean what its neighbours do
not. Means of the target by value tell so at once; a function of the number alone would have to
bend sharply at each.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from threadpoolctl import threadpool_limits

# In smaller tables a value has too few rows: their means harmed networks there.
_SMALLEST_TABLE = 1500
# A value recurs if so many rows have it, and this share of a column's rows must have such values.
_FEWEST_ROWS = 5
_SHARE_OF_RECURRING = 0.5
_FEWEST_VALUES = 14  # all of fewer have a piece each
_SMOOTHING = 10  # rows without a deviation, which each value has in addition
_PENALTY = 10.0  # of the ridge regression
# Means by value must lower the squared error by so many of its standard errors.
_LEAST_GAIN = 2.5
_MOST_ROWS, _MOST_CELLS = 20_000, 8_000_000  # by which columns are judged


def rows_to_judge_by(n_rows: int, n_inputs: int) -> NDArray[np.intp]:
    """Choose the rows by which :func:`telling_values` judges, so that it takes no long time."""
    most = min(_MOST_ROWS, max(1, _MOST_CELLS // n_inputs))
    if n_rows <= most:
        return np.arange(n_rows)
    return np.sort(np.random.default_rng(0).choice(n_rows, most, replace=False))


def telling_values(
    values: dict[int, NDArray[np.float32]],
    numbers: NDArray[np.float64],
    inputs: NDArray[np.float32],
    averaged: NDArray[np.float64],
    folds: NDArray[np.intp],
) -> dict[int, NDArray[np.float32]]:
    """Choose the columns of numbers in which single values say more than all inputs do.

    The target is predicted by a ridge regression on the inputs. A column is chosen if the means of
    what that misses at each value lower the squared error. All of it is learned on the rows of
    other folds.

    Parameters
    ----------
    values : dict of int to ndarray of float32
        For each candidate its values that recur, in increasing order.
    numbers : ndarray of shape (n_rows, n_numbers), float64
    inputs : ndarray of shape (n_rows, n_inputs), float32
        Such as scaled numbers, their piecewise-linear components and levels of text.
    averaged : ndarray of shape (n_rows, n_means), float64
        The target.
    folds : ndarray of shape (n_rows,), int

    Returns
    -------
    dict of int to ndarray of float32
        Some of `values`.
    """
    with threadpool_limits(1, user_api="blas"):  # what is chosen does not depend on threads
        missed = _missed_by_ridge(inputs.astype(np.float64), averaged, folds)
    codes = codes_of_values(numbers, list(values), list(values.values()))
    found = {}
    for (column, known), own in zip(values.items(), codes.T, strict=True):
        gains = np.zeros(len(own))
        for fold in np.unique(folds):
            is_held = folds == fold
            others, size = own[~is_held], len(known) + 1
            counts = np.bincount(others, minlength=size) + _SMOOTHING
            for errors in missed.T:
                means = np.bincount(others, errors[~is_held], minlength=size) / counts
                means[-1] = 0  # rows of other values have little in common
                error = errors[is_held]
                gains[is_held] += np.square(error) - np.square(error - means[own[is_held]])
        if gains.mean() > _LEAST_GAIN * gains.std() / np.sqrt(len(gains)):
            found[column] = known
    return found


def _missed_by_ridge(
    A: NDArray[np.float64], averaged: NDArray[np.float64], folds: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return what a ridge regression that is learned on the rows of other folds misses."""
    A = np.column_stack([A, np.ones(len(A))])
    n_rows, n_inputs = A.shape
    is_wide = n_inputs > n_rows
    products = A @ A.T if is_wide else A.T @ A
    missed = np.empty_like(averaged)
    for fold in np.unique(folds):
        is_held = folds == fold
        own, others = A[is_held], A[~is_held]
        if is_wide:  # the coefficients are sums of rows
            seen = products[np.ix_(~is_held, ~is_held)] + _PENALTY * np.eye(len(others))
            predicted = products[np.ix_(is_held, ~is_held)] @ _solved(seen, averaged[~is_held])
        else:
            seen = products - own.T @ own + _PENALTY * np.eye(n_inputs)
            predicted = own @ _solved(seen, others.T @ averaged[~is_held])
        missed[is_held] = averaged[is_held] - predicted
    return missed


def _solved(A: NDArray[np.float64], B: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve A X = B for a symmetric, positive definite A."""
    result: NDArray[np.float64] = cho_solve(cho_factor(A), B)
    return result


def candidate_values(
    numbers: NDArray[np.float64], columns: Sequence[int]
) -> dict[int, NDArray[np.float32]]:
    """List the columns whose values recur, and for each the values that two rows or more have.

    There are none in a table of few rows.
    """
    if len(numbers) < _SMALLEST_TABLE:
        return {}
    found = {column: recurring_values(numbers[:, column]) for column in columns}
    return {column: values for column, values in found.items() if len(values)}


def rounded(x: NDArray[np.float64]) -> NDArray[np.float32]:
    """Round numbers to float32, so that they are the same whatever type a table has them in."""
    with np.errstate(over="ignore"):
        found: NDArray[np.float32] = x.astype(np.float32)
    return found + np.float32(0)  # -0 becomes 0


def recurring_values(x: NDArray[np.float64]) -> NDArray[np.float32]:
    """List the values that at least two rows of a column of numbers have, if most of them recur.

    Parameters
    ----------
    x : ndarray of shape (n_rows,), float64
        Not-a-number is missing.

    Returns
    -------
    ndarray of shape (n_values,), float32
        In increasing order. Empty where the column has few values, all of which other inputs tell
        apart, or where most of its values hardly recur.
    """
    small = rounded(x)
    values, counts = np.unique(small[np.isfinite(small)], return_counts=True)
    n_recurring = counts[counts >= _FEWEST_ROWS].sum()
    if len(values) < _FEWEST_VALUES or n_recurring < _SHARE_OF_RECURRING * counts.sum():
        return values[:0]
    return values[counts > 1]


def codes_of_values(
    numbers: NDArray[np.float64],
    columns: Sequence[int] | NDArray[np.int64],
    values: Sequence[NDArray[np.float32]],
) -> NDArray[np.intp]:
    """Encode numbers by their positions among the values of their columns.

    Parameters
    ----------
    numbers : ndarray of shape (n_rows, n_numbers), float64
    columns : sequence of int
        The numbers that have means.
    values : sequence of ndarray of float32
        The values of each of them, in increasing order.

    Returns
    -------
    ndarray of shape (n_rows, n_columns), int
        The number of values stands for any other one, and for a missing one.
    """
    codes = np.empty((len(numbers), len(columns)), dtype=np.intp)
    chosen = rounded(numbers[:, columns])
    for i, known in enumerate(values):
        x = chosen[:, i]
        places = known.searchsorted(x)
        places[places == len(known)] = 0  # x is beyond the last, and so not equal to the first
        places[known[places] != x] = len(known)
        codes[:, i] = places
    return codes
