"""Means of the target by the levels of a column, for columns of many levels.

The mean that a training row sees comes from other rows alone, those outside its fold; otherwise
the row's own target would be among its inputs.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .scaling import squash

_SMOOTHING = 10  # rows with the mean of all, which each level has in addition
_SMALLEST_DEVIATION = 1e-6


@dataclass
class LevelMeans:
    """The means of a target by the levels of a column, and the logarithms of their counts.

    Parameters
    ----------
    codes : ndarray of shape (n_rows,), int
        The level of each row; the last one is a level that is not known.
    folds : ndarray of shape (n_rows,), int
        The numbers of the folds, from 0 on.
    counts : ndarray of shape (n_folds, n_levels + 1), float64
        The rows of each fold and level.
    sums : ndarray of shape (n_folds, n_levels + 1, n_means), float64
        The sums of the target over these rows.

    Attributes
    ----------
    centres, scales : ndarray of shape (n_means + 1,), float64
        What is subtracted from means and logarithms, and the factors then.
    """

    codes: NDArray[np.intp]
    folds: NDArray[np.intp]
    counts: NDArray[np.float64]
    sums: NDArray[np.float64]

    def __post_init__(self) -> None:
        crossed = self.of_other_rows()
        deviations = crossed.std(axis=0)
        self.centres = crossed.mean(axis=0)
        self.scales = np.where(
            deviations > _SMALLEST_DEVIATION, 1 / np.maximum(deviations, _SMALLEST_DEVIATION), 0
        )

    @classmethod
    def learn(
        cls,
        codes: NDArray[np.intp],
        n_levels: int,
        averaged: NDArray[np.float64],
        folds: NDArray[np.intp],
    ) -> Self:
        """Average a target of shape (n_rows, n_means) by the levels of a column."""
        n_folds, size = int(folds.max()) + 1, n_levels + 1
        cells = folds * size + codes
        sums = np.zeros((n_folds, size, averaged.shape[1]))
        for i, column in enumerate(averaged.T):
            sums[..., i] = _sums(cells, column, n_folds, size)
        return cls(codes, folds, _sums(cells, None, n_folds, size), sums)

    def table(self) -> NDArray[np.float32]:
        """Return the inputs of each level, of shape (n_levels + 1, n_means + 1), from all rows.

        The last row is for unknown levels. All columns are standardised and squashed.
        """
        counts = self.counts.sum(axis=0)
        total = np.array(counts.sum())
        return self._scaled(_statistics(counts, self.sums.sum(axis=0), total, np.array(1.0)))

    def crossed(self, left_out: int | None = None) -> NDArray[np.float32]:
        """Return the inputs of the training rows, each of which sees the rows of other folds only.

        Parameters
        ----------
        left_out : int or None
            A fold whose rows no other row sees either, since a network holds it out. By the means
            of several folds beside each other, it could otherwise find out what the target is in
            this one.

        Returns
        -------
        ndarray of shape (n_rows, n_means + 1), float32
            Like the rows of :meth:`table`.
        """
        return self._scaled(self.of_other_rows(left_out))

    def of_other_rows(self, left_out: int | None = None) -> NDArray[np.float64]:
        """Return :meth:`crossed` before means and logarithms are standardised."""
        counts, sums = self.counts.sum(axis=0) - self.counts, self.sums.sum(axis=0) - self.sums
        if left_out is not None:
            is_other = np.arange(len(counts)) != left_out
            counts[is_other] -= self.counts[left_out]
            sums[is_other] -= self.sums[left_out]
        n_seen = np.maximum(counts.sum(axis=1), 1)[:, None]
        # Counts are as if there were as many of these rows as rows in all.
        return _statistics(counts, sums, n_seen, len(self.codes) / n_seen)[self.folds, self.codes]

    def _scaled(self, statistics: NDArray[np.float64]) -> NDArray[np.float32]:
        return squash((statistics - self.centres) * self.scales).astype(np.float32)


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
