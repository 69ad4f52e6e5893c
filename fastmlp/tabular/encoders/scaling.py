"""Numbers that are brought to a common scale, and kept from growing large."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SQUASH_BOUND = 3
SQUASH_LIMIT = 1e6  # larger numbers are clipped, since their squares could overflow
LARGEST_DISTANCE = 1e300  # from a centre; numbers further away count as this far
# A column that varies by less, beside its largest value, differs by errors of rounding only.
_ROUNDING = 8 * float(np.finfo(np.float64).eps)
UNSQUASHED_LIMIT = 1e3


def squash(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute x / sqrt(1 + (x / 3)^2), which is about x near zero and stays between -3 and 3.

    Without a limit, one extreme value, such as that of a pixel that is almost never lit, could
    decide a prediction alone (Holzmueller et al., 2024, "Better by default").

    Parameters
    ----------
    x : ndarray
        Scaled values, in an array of any shape.

    Returns
    -------
    ndarray of the same shape
    """
    x = x.clip(-SQUASH_LIMIT, SQUASH_LIMIT)
    return x / np.sqrt(1 + np.square(x / SQUASH_BOUND))


@dataclass
class Scaling:
    """How the numbers of each column become inputs; all arrays have the shape (n_numbers,).

    Attributes
    ----------
    fills : ndarray of float64
        What a missing number counts as.
    centres : ndarray of float64
        What becomes zero.
    scales : ndarray of float64
        The factors of the distances from the centres; zero for a column of one value.
    is_binary : ndarray of bool
        Where a column has two values, which become -1 and 1; a missing one becomes 0.
    """

    fills: NDArray[np.float64]
    centres: NDArray[np.float64]
    scales: NDArray[np.float64]
    is_binary: NDArray[np.bool_]

    def apply(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scale numbers of shape (n_rows, n_numbers); not-a-number is a missing one."""
        x = self.scaled(numbers)
        result = squash(x)
        if self.is_binary.any():
            result[:, self.is_binary] = x[:, self.is_binary].clip(-1, 1)
        return result

    def scaled(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the distances of numbers from the centres, times the scales."""
        with np.errstate(over="ignore"):
            x = np.where(np.isnan(numbers), self.fills, numbers) - self.centres
            result: NDArray[np.float64] = x.clip(-LARGEST_DISTANCE, LARGEST_DISTANCE) * self.scales
        return result

    def apply_unsquashed(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scale numbers without limiting them, but for those that are absurdly large."""
        return np.clip(self.scaled(numbers), -UNSQUASHED_LIMIT, UNSQUASHED_LIMIT)


def learn_scaling(numbers: NDArray[np.float64], how: str, sample: NDArray[np.intp]) -> Scaling:
    """Learn how numbers become inputs.

    Parameters
    ----------
    numbers : ndarray of shape (n_rows, n_numbers), float64
        The training rows; not-a-number is a missing one.
    how : {'robust', 'standard'}
        Whether the median becomes 0 and the distance of the quartiles 1, or the mean and the
        standard deviation. In a column of which one value has more than half of the rows,
        the quartiles of the other values count, or it would hardly vary.
    sample : ndarray of int
        The rows by which quantiles are estimated.

    Returns
    -------
    Scaling
    """
    n_numbers = numbers.shape[1]
    fills, centres, scales = np.zeros(n_numbers), np.zeros(n_numbers), np.zeros(n_numbers)
    is_binary = np.zeros(n_numbers, dtype=bool)
    for j in range(n_numbers):
        x = numbers[:, j]
        x = x[~np.isnan(x)]
        if not len(x):
            continue
        low, high = x.min(), x.max()
        drawn = numbers[sample, j]
        drawn = drawn[~np.isnan(drawn)]
        median = fills[j] = centres[j] = np.median(drawn if len(drawn) else x)
        if not high - low > _ROUNDING * max(abs(low), abs(high)):
            continue
        if np.all((x == low) | (x == high)):
            is_binary[j] = True
            fills[j] = centres[j] = low + (high - low) / 2
            scales[j] = 2 / (high - low)
            continue
        if how == "standard":
            filled = np.where(np.isnan(numbers[:, j]), median, numbers[:, j])
            centres[j], spread = filled.mean(), filled.std()
        else:
            spread = _robust_spread(drawn, median) or _robust_spread(x, median)
        with np.errstate(over="ignore", divide="ignore"):
            scale = 1 / spread
        scales[j] = scale if np.isfinite(scale) else 0.0
    return Scaling(fills, centres, scales, is_binary)


def _robust_spread(x: NDArray[np.float64], median: float) -> float:
    """Return the distance of the quartiles, without the most frequent value if need be."""
    if not len(x):
        return 0.0
    first, third = np.quantile(x, [0.25, 0.75])
    if third > first:
        return float(third - first)
    others = x[x != median]
    if not len(others):
        return 0.0
    first, third = np.quantile(others, [0.25, 0.75])
    return float(max(third, median) - min(first, median))


def learn_unsquashed(
    numbers: NDArray[np.float64], scaling: Scaling, columns: NDArray[np.intp]
) -> Scaling:
    """Learn to standardise some columns of numbers, whatever their scaling is otherwise.

    Parameters
    ----------
    numbers : ndarray of shape (n_rows, n_numbers), float64
    scaling : Scaling
        Of all columns; missing numbers count as they do there.
    columns : ndarray of int
        The columns to learn.

    Returns
    -------
    Scaling
    """
    fills = scaling.fills[columns]
    filled = np.where(np.isnan(numbers[:, columns]), fills, numbers[:, columns])
    with np.errstate(divide="ignore"):
        scales = 1 / filled.std(axis=0)
    scales = np.where(np.isfinite(scales), scales, 0.0)
    return Scaling(fills, filled.mean(axis=0), scales, np.zeros(len(columns), dtype=bool))
