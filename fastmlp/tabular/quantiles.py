"""Quantiles of the target of a table: their levels, their correction, and metrics."""

from collections.abc import Sequence
from math import ceil, floor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import mean_pinball_loss

from .pack.members import networks_of


def quantile_levels(estimator: Any) -> tuple[float, ...]:
    """Return the levels that an estimator predicts quantiles of; () if it predicts something else.

    Parameters
    ----------
    estimator : TabularClassifier or TabularRegressor

    Returns
    -------
    tuple of float
    """
    loss = getattr(estimator, "loss", None)
    if not (isinstance(loss, str) and loss == "quantile"):
        return ()
    return tuple(float(level) for level in np.atleast_1d(estimator.quantiles))


def fitted_levels(model: Any) -> tuple[float, ...]:
    """Return the levels of the quantiles that a fitted model predicts; () for anything else.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor

    Returns
    -------
    tuple of float
    """
    return tuple(getattr(networks_of(model.estimator_)[0], "_quantile_levels", ()))


def as_columns(predicted: NDArray[Any]) -> NDArray[Any]:
    """Return predictions as a matrix with a column for each level."""
    return predicted.reshape(len(predicted), -1)


def pinball_loss(
    predicted: NDArray[Any],
    targets: NDArray[Any],
    levels: Sequence[float],
    weight: NDArray[np.float64] | None = None,
) -> float:
    """Compute the mean pinball loss over all levels.

    Parameters
    ----------
    predicted : ndarray of shape (n_rows,) or (n_rows, n_levels)
    targets : ndarray of shape (n_rows,)
    levels : sequence of float
    weight : ndarray of shape (n_rows,), optional

    Returns
    -------
    float
    """
    losses = [
        mean_pinball_loss(targets, column, sample_weight=weight, alpha=level)
        for level, column in zip(levels, as_columns(predicted).T, strict=True)
    ]
    return float(np.mean(losses))


def conformal_offsets(
    values: NDArray[Any],
    predicted: NDArray[Any],
    levels: Sequence[float],
    weight: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Compute what must be added to quantiles so that they cover as many rows as they should.

    For each level this is a quantile of what is missing, y minus the prediction, over rows that
    the networks have not seen (Romano et al., 2019, "Conformalized quantile regression", one
    side at a time). Its rank is rounded away from the median, so that intervals are rather too
    wide than too narrow where rows are few.

    Parameters
    ----------
    values : ndarray of shape (n_rows,)
        The target.
    predicted : ndarray of shape (n_rows,) or (n_rows, n_levels)
    levels : sequence of float
    weight : ndarray of shape (n_rows,), optional
        The weight of each row.

    Returns
    -------
    ndarray of shape (n_levels,), float64
    """
    n_rows = len(values)
    shares = np.full(n_rows, 1.0) if weight is None else weight * (n_rows / weight.sum())
    offsets = []
    for level, column in zip(levels, as_columns(predicted).T, strict=True):
        missing = values - column.astype(np.float64)
        order = np.argsort(missing, kind="stable")
        rank = (n_rows + 1) * level
        rank = floor(rank) if level < 0.5 else ceil(rank)
        # The first row up to which the weights are as many as the rank.
        place = np.searchsorted(np.cumsum(shares[order]), rank - 1e-9)
        offsets.append(missing[order[min(int(place), n_rows - 1)]])
    return np.array(offsets)


def quantile_metrics(
    y: NDArray[Any], predicted: NDArray[Any], levels: Sequence[float]
) -> dict[str, float]:
    """Compute the pinball loss, and the share of rows below each quantile.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
    predicted : ndarray of shape (n_rows,) or (n_rows, n_levels)
    levels : sequence of float

    Returns
    -------
    dict of str to float
        Has the keys 'pinball_loss', and 'below_' with the level, such as 'below_0.1', which
        should be near that level.
    """
    columns = as_columns(predicted)
    return {
        "pinball_loss": pinball_loss(columns, y, levels),
        **{
            f"below_{level:g}": float(np.mean(y <= column))
            for level, column in zip(levels, columns.T, strict=True)
        },
    }
