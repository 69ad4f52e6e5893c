"""Weights of the kinds in a pack, by their predictions of rows that they have not seen."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..quantiles import pinball_loss

_ROUNDS = 20
_SMALLEST_PROBABILITY = 1e-7
# With so many rows of a rare class, half of the weight is that of a linear kind.
_RARE_ROWS_FOR_HALF = 25


def held_out_loss(
    predicted: NDArray[Any],
    targets: NDArray[Any],
    weight: NDArray[np.float64] | None = None,
    levels: Sequence[float] = (),
) -> float:
    """Compute the log loss of probabilities, or the root of the mean squared error of numbers.

    Parameters
    ----------
    predicted : ndarray of shape (n_rows, n_classes), (n_rows,) or (n_rows, n_levels)
    targets : ndarray of shape (n_rows,)
        The number of each row's class, or its value.
    weight : ndarray of shape (n_rows,), optional
    levels : sequence of float, default=()
        Levels of the quantiles that are predicted; their loss is the mean pinball loss.

    Returns
    -------
    float
        Infinite where a prediction is not finite.
    """
    if not np.isfinite(predicted).all():
        return np.inf
    if levels:
        return pinball_loss(predicted, targets, levels, weight)
    if predicted.ndim == 1:
        squared = np.square(predicted.astype(np.float64) - targets)
        return float(np.sqrt(np.average(squared, weights=weight)))
    own = predicted[np.arange(len(targets)), targets].astype(np.float64)
    return float(np.average(-np.log(np.maximum(own, _SMALLEST_PROBABILITY)), weights=weight))


def greedy_weights(
    predicted: Mapping[str, NDArray[Any]],
    targets: NDArray[Any],
    weight: NDArray[np.float64] | None = None,
    levels: Sequence[float] = (),
) -> dict[str, float]:
    """Weigh kinds of networks by greedy selection (Caruana et al., 2004).

    The best kind comes first. Then, again and again, the one is added, with replacement, with which
    the mean of all that were chosen has the lowest loss. The weights are the shares among the
    first ones, up to the round with the lowest loss of all.

    Parameters
    ----------
    predicted : dict of str to ndarray of shape (n_rows, n_classes) or (n_rows,)
        Predictions of the same rows by each kind, which it was not trained on.
    targets : ndarray of shape (n_rows,)
        As for :func:`held_out_loss`.
    weight : ndarray of shape (n_rows,), optional
    levels : sequence of float, default=()
        As for :func:`held_out_loss`.

    Returns
    -------
    dict of str to float
        Kinds with a weight above 0, in the order of `predicted`. The weights sum to 1.
    """
    names = list(predicted)
    columns = [np.asarray(predicted[name], dtype=np.float64) for name in names]
    if columns[0].ndim == 2 and not levels:
        # The log loss depends on the probability of the true class alone.
        rows = np.arange(len(targets))
        columns = [column[rows, targets][:, None] for column in columns]
        targets = np.zeros(len(targets), dtype=np.intp)
    total: Any = 0.0
    chosen: list[int] = []
    losses: list[float] = []
    for n_chosen in range(1, _ROUNDS + 1):
        trials = [held_out_loss((total + c) / n_chosen, targets, weight, levels) for c in columns]
        best = int(np.argmin(trials))
        total = total + columns[best]
        chosen.append(best)
        losses.append(trials[best])
    n_kept = int(np.argmin(losses)) + 1
    kept = chosen[:n_kept]
    return {name: kept.count(i) / n_kept for i, name in enumerate(names) if i in kept}


def towards_linear(
    weights: Mapping[str, float],
    predicted: Mapping[str, NDArray[Any]],
    linear: Sequence[str],
    targets: NDArray[Any],
    weight: NDArray[np.float64] | None = None,
) -> dict[str, float]:
    """Give the better linear kind the more weight, the fewer rows the rarer class has.

    The losses by which weights are found are those of few rows then, and hardly tell kinds apart.

    Parameters
    ----------
    weights : dict of str to float
        From :func:`greedy_weights`.
    predicted : dict of str to ndarray of shape (n_rows, 2)
        Predictions of the same rows by each kind.
    linear : sequence of str
        The kinds that are linear. Without predictions of any of them the weights stay.
    targets : ndarray of shape (n_rows,), of int
        The number of each row's class.
    weight : ndarray of shape (n_rows,), optional

    Returns
    -------
    dict of str to float
        The weights, which sum to 1.
    """
    losses = {k: held_out_loss(predicted[k], targets, weight) for k in linear if k in predicted}
    if not losses:
        return dict(weights)
    best = min(losses, key=losses.__getitem__)
    n_rare = int(np.bincount(targets, minlength=2).min())
    share = _RARE_ROWS_FOR_HALF / (_RARE_ROWS_FOR_HALF + n_rare)
    changed = {name: (1 - share) * own for name, own in weights.items()}
    changed[best] = changed.get(best, 0.0) + share
    return changed
