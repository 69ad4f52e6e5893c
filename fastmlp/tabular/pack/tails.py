"""The logarithm of a target with a heavy tail, which some members of a pack learn instead of it."""

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import skew

# From this skewness on the logarithm is tried; that of an exponential distribution is 2.
_SMALLEST_SKEWNESS = 1.5
# The logarithm must take away this share of it at least.
_SHARE_TAKEN = 0.5
LARGEST_EXPONENT = 80.0


class LogTarget(NamedTuple):
    """The change of a standardised target t to u = (log(t + shift) - mean) / scale.

    Parameters
    ----------
    shift, mean, scale : float
    """

    shift: float
    mean: float
    scale: float

    @classmethod
    def learn(cls, targets: NDArray[Any], zero: float) -> Self | None:
        """Learn the change, if the target has a heavy tail.

        Parameters
        ----------
        targets : ndarray of shape (n_rows,)
            The standardised target.
        zero : float
            The standardised value of zero. No number may be below it. Where zero occurs, the
            smallest number above it is added before the logarithm is taken, which for counts
            is one.

        Returns
        -------
        LogTarget or None
            None where the tail is not heavy, or the logarithm would not make it much lighter.
        """
        numbers = targets.astype(np.float64) - zero
        # The standardised target is rounded.
        rounding = 1e-6 * (1 + abs(zero))
        is_zero = np.abs(numbers) <= rounding
        if numbers.min() < -rounding or is_zero.all():
            return None
        smallest = numbers[~is_zero].min()
        logs = np.log(np.maximum(numbers, 0) + (smallest if is_zero.any() else 0.0))
        before, after = float(skew(numbers)), float(skew(logs))
        if not (before >= _SMALLEST_SKEWNESS and abs(after) <= (1 - _SHARE_TAKEN) * before):
            return None
        shift = (smallest if is_zero.any() else 0.0) - zero
        return cls(float(shift), float(logs.mean()), float(logs.std()) or 1.0)

    def change(self, targets: NDArray[Any]) -> NDArray[np.float32]:
        """Return u for targets of shape (n_rows,)."""
        tiny = np.exp(self.mean - LARGEST_EXPONENT)
        logs = np.log(np.maximum(targets.astype(np.float64) + self.shift, tiny))
        return ((logs - self.mean) / self.scale).astype(np.float32)

    def change_back(self, predicted: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return t for predictions of u, in an array of any shape."""
        logs = np.minimum(predicted * self.scale + self.mean, LARGEST_EXPONENT)
        return np.exp(logs) - self.shift

    def slopes(self, predicted: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the derivative of t for predictions of u, in an array of the same shape."""
        logs = predicted * self.scale + self.mean
        return self.scale * np.exp(np.minimum(logs, LARGEST_EXPONENT)) * (logs < LARGEST_EXPONENT)
