"""Means of the target by the levels of a column, for columns of many levels.

The mean that a training row sees comes from other rows alone, those outside its fold; otherwise
the row's own target would be among its inputs.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .scaling import squash

_SMOOTHING = 10  # rows with the mean of all, which each level has in addition
_SMALLEST_DEVIATION = 1e-6


def level_means(
    codes: NDArray[np.intp],
    n_levels: int,
    averaged: NDArray[np.float64],
    folds: NDArray[np.intp],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Average a target by the levels of a column, and count the rows of each.

    Parameters
    ----------
    codes : ndarray of shape (n_rows,), int
        The level of each row; ``n_levels`` is a level that is not known.
    n_levels : int
    averaged : ndarray of shape (n_rows, n_means), float64
    folds : ndarray of shape (n_rows,), int
        The numbers of the folds, from 0 on.

    Returns
    -------
    table : ndarray of shape (n_levels + 1, n_means + 1), float32
        For each level the means over all rows, and the logarithm of the number of rows; the last
        row is for unknown levels. All columns are standardised and squashed.
    crossed : ndarray of shape (n_rows, n_means + 1), float32
        The same for each training row, from the rows of the other folds.
    """
    n_folds, size = int(folds.max()) + 1, n_levels + 1
    cells = folds * size + codes
    counts = _sums(cells, None, n_folds, size)
    sums = np.stack(
        [_sums(cells, column, n_folds, size) for column in averaged.T], axis=2
    ) if averaged.shape[1] else np.zeros((n_folds, size, 0))  # fmt: skip
    rows = counts.sum(axis=1)
    others = np.maximum(rows.sum() - rows, 1)
    # What the rows outside a fold say; counts as if there were as many of them as rows in all.
    crossed = _statistics(
        counts.sum(axis=0) - counts,
        sums.sum(axis=0) - sums,
        others[:, None],
        rows.sum() / others[:, None],
    )[folds, codes]
    total = np.array(rows.sum())
    table = _statistics(counts.sum(axis=0), sums.sum(axis=0), total, np.array(1.0))
    centres, deviations = crossed.mean(axis=0), crossed.std(axis=0)
    scales = np.where(
        deviations > _SMALLEST_DEVIATION, 1 / np.maximum(deviations, _SMALLEST_DEVIATION), 0
    )
    return tuple(  # type: ignore[return-value]
        squash((values - centres) * scales).astype(np.float32) for values in (table, crossed)
    )


def _sums(
    cells: NDArray[np.intp], weights: NDArray[np.float64] | None, n_folds: int, size: int
) -> NDArray[np.float64]:
    """Add up weights, or count rows, by fold and level."""
    found = np.bincount(cells, weights, minlength=n_folds * size)
    return found.reshape(n_folds, size).astype(np.float64)


def _statistics(
    counts: NDArray[np.float64],
    sums: NDArray[np.float64],
    n_rows: NDArray[Any],
    growth: NDArray[Any],
) -> NDArray[np.float64]:
    """Compute smoothed means and the logarithms of counts.

    Parameters
    ----------
    counts : ndarray of shape (..., n_levels + 1)
    sums : ndarray of shape (..., n_levels + 1, n_means)
    n_rows : ndarray of shape (..., 1), or a single number
        The number of rows that were counted.
    growth : ndarray of shape (..., 1), or a single number
        The factor of counts.

    Returns
    -------
    ndarray of shape (..., n_levels + 1, n_means + 1)
    """
    of_all = sums.sum(axis=-2, keepdims=True) / n_rows[..., None]
    means = (sums + _SMOOTHING * of_all) / (counts + _SMOOTHING)[..., None]
    logs = np.log1p(counts * growth)
    # The last level is none: its rows have little in common.
    means[..., -1:, :], logs[..., -1] = of_all, 0
    return np.concatenate([means, logs[..., None]], axis=-1)
