"""The matrix of a network's inputs, written group by group.

The groups stand in the order of ``GROUPS``, so that some that belong together are one range of
columns: pieces by trees, scaled numbers with levels, pieces by quantiles, and numbers that are not
squashed. What is written is in the fitted attributes of a preprocessor.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bins import Pieces
from .means import LevelMeans
from .recurring import codes_of_values
from .scaling import Scaling

GROUPS = ("tree", "base", "bins", "linear")
_BLOCK_CELLS = 2**19  # inputs that are made at a time, in float64


def scaling_of(fitted: Any) -> Scaling:
    """Return how a preprocessor scales numbers."""
    return Scaling(fitted.fill_values_, fitted.centres_, fitted.scales_, fitted.is_binary_)


def lay_out(widths: dict[str, int]) -> dict[str, tuple[int, int]]:
    """Give each group its range of columns, by the numbers of their inputs."""
    groups, start = {}, 0
    for name in GROUPS:
        if name in widths:
            groups[name] = (start, start + widths[name])
            start += widths[name]
    return groups


def make_inputs(
    fitted: Any,
    numbers: NDArray[np.float64],
    codes: NDArray[np.intp],
    means: Sequence[LevelMeans | None] = (),
) -> NDArray[np.float32]:
    """Make the inputs of some rows.

    Parameters
    ----------
    fitted : TabularPreprocessor
    numbers : ndarray of shape (n_rows, n_numbers), float64
        Not-a-number is missing.
    codes : ndarray of shape (n_rows, n_text_columns), int
        The position of each value among the levels; that behind them is an unknown one.
    means : sequence of LevelMeans or None, default=()
        For training rows, what stands in the place of ``level_means_`` and ``number_means_``: the
        last of the group 'base', each row of which sees the target of other rows only.

    Returns
    -------
    ndarray of shape (n_rows, n_inputs), float32, C-contiguous
    """
    n_rows = len(numbers)
    n_inputs = max(stop for _, stop in fitted.groups_.values())
    inputs = np.empty((n_rows, n_inputs), dtype=np.float32)
    at_a_time = max(1, _BLOCK_CELLS // n_inputs)
    for start in range(0, n_rows, at_a_time):
        rows = slice(start, start + at_a_time)
        _write_numbers(fitted, numbers[rows], inputs[rows])
    at = fitted.groups_["base"][0] + len(fitted.centres_) + len(fitted.indicator_columns_)
    last = np.array([len(table) - 1 for table in fitted.level_inputs_], dtype=codes.dtype)
    places = np.minimum(codes, last)
    at = _write_tables(inputs, at, fitted.level_inputs_, places)
    if means:
        write_means(inputs, at, means)
        return inputs
    at = _write_tables(inputs, at, fitted.level_means_, codes)
    if fitted.number_means_:
        columns, values = fitted.number_mean_columns_, fitted.number_mean_values_
        of_values = codes_of_values(numbers, columns, values)
        _write_tables(inputs, at, fitted.number_means_, of_values)
    return inputs


def _write_tables(
    inputs: NDArray[np.float32],
    at: int,
    tables: Sequence[NDArray[np.float32]],
    codes: NDArray[np.intp],
) -> int:
    """Write the rows of tables that codes name, beginning with a column; return the next one."""
    for i, table in enumerate(tables):
        stop = at + table.shape[1]
        if stop > at:
            inputs[:, at:stop] = table.take(codes[:, i], axis=0)  # faster than indexing
        at = stop
    return at


def write_means(
    inputs: NDArray[np.float32],
    at: int,
    means: Sequence[LevelMeans | None],
    left_out: int | None = None,
) -> None:
    """Write the means that training rows see, beginning with a column.

    Parameters
    ----------
    inputs : ndarray of shape (n_rows, n_inputs), float32
    at : int
        The first column to write.
    means : sequence of LevelMeans or None
    left_out : int or None
        As for :meth:`LevelMeans.crossed`.
    """
    for found in means:
        if found is not None:
            crossed = found.crossed(left_out)
            inputs[:, at : at + crossed.shape[1]] = crossed
            at += crossed.shape[1]


def _write_numbers(fitted: Any, numbers: NDArray[np.float64], inputs: NDArray[np.float32]) -> None:
    """Write all inputs that depend on numbers alone."""
    if not numbers.shape[1]:
        return
    scaling, groups = scaling_of(fitted), fitted.groups_
    x, is_missing = scaling.apply(numbers), np.isnan(numbers)
    at = groups["base"][0]
    inputs[:, at : at + x.shape[1]] = x
    at += x.shape[1]
    if len(columns := fitted.indicator_columns_):
        low, high = fitted.indicator_values_.T
        inputs[:, at : at + len(columns)] = np.where(is_missing[:, columns], high, low)
    if len(fitted.piece_columns_):
        x[is_missing] = -np.inf
        n_first = 0
        for name in ("tree", "bins"):
            start, stop = groups.get(name, (0, 0))
            chosen = slice(n_first, n_first + stop - start)
            inputs[:, start:stop] = Pieces(
                fitted.piece_columns_[chosen],
                fitted.piece_starts_[chosen],
                fitted.piece_widths_[chosen],
            ).apply(x)
            n_first = chosen.stop
    if len(columns := fitted.linear_columns_):
        unsquashed = Scaling(
            fitted.fill_values_[columns], fitted.linear_means_, fitted.linear_scales_,
            np.zeros(len(columns), dtype=bool),
        )  # fmt: skip
        start, stop = groups["linear"]
        inputs[:, start:stop] = unsquashed.apply_unsquashed(numbers[:, columns])
