"""The chain rule of a preprocessor: from gradients of inputs to those of a table's numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .assembly import scaling_of
from .bins import Pieces
from .scaling import SQUASH_BOUND, SQUASH_LIMIT, UNSQUASHED_LIMIT


def number_gradients(
    fitted: Any, numbers: NDArray[np.float64], gradients: NDArray[Any]
) -> NDArray[np.float64]:
    """Carry gradients of inputs over to the numbers that the inputs are made of.

    Inputs are differentiated as :func:`fastmlp.tabular.encoders.assembly.make_inputs` makes them.
    At an edge between two pieces the slope is the mean of those on both sides, as of central
    differences. In a column of two values it is that of the line through both. Means of the
    target for single values are no function of a number, and count as constant.

    Parameters
    ----------
    fitted : TabularPreprocessor
    numbers : ndarray of shape (n_rows, n_numbers), float64
        Not-a-number is missing.
    gradients : ndarray of shape (n_rows, n_inputs)

    Returns
    -------
    ndarray of shape (n_rows, n_numbers), float64
        Not-a-number where a number is missing, which no small change makes another one of.
    """
    scaling, groups = scaling_of(fitted), fitted.groups_
    is_missing = np.isnan(numbers)
    scaled = scaling.scaled(numbers)
    is_limited = np.abs(scaled) > SQUASH_LIMIT
    scaled = scaled.clip(-SQUASH_LIMIT, SQUASH_LIMIT)  # the square of a huge number overflows
    slopes = scaling.scales * (1 + np.square(scaled / SQUASH_BOUND)) ** -1.5
    slopes[is_limited] = 0
    slopes[:, scaling.is_binary] = scaling.scales[scaling.is_binary]
    start = groups["base"][0]
    result: NDArray[np.float64] = gradients[:, start : start + numbers.shape[1]] * slopes
    squashed, n_first = scaling.apply(numbers), 0
    for name in ("tree", "bins"):
        start, stop = groups.get(name, (0, 0))
        chosen = slice(n_first, n_first + stop - start)
        pieces = Pieces(
            fitted.piece_columns_[chosen],
            fitted.piece_starts_[chosen],
            fitted.piece_widths_[chosen],
        )
        along = gradients[:, start:stop] * pieces.slopes(squashed)
        for column in np.unique(pieces.columns):
            is_of = pieces.columns == column
            result[:, column] += along[:, is_of].sum(axis=1) * slopes[:, column]
        n_first = chosen.stop
    if len(columns := fitted.linear_columns_):
        start, stop = groups["linear"]
        filled = np.where(is_missing, scaling.fills, numbers)[:, columns]
        reached = (filled - fitted.linear_means_) * fitted.linear_scales_
        is_within = np.abs(reached) <= UNSQUASHED_LIMIT
        result[:, columns] += gradients[:, start:stop] * fitted.linear_scales_ * is_within
    result[is_missing] = np.nan
    return result
