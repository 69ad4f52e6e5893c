"""The probability from which on the second of two classes is predicted."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray


def check_threshold(threshold: Any, classes: NDArray[Any], has_unseen: bool, called: str) -> None:
    """Raise ValueError for a `threshold` that does not fit the classes or the model.

    Parameters
    ----------
    threshold : float, 'f1' or dict
    classes : ndarray of shape (n_classes,)
    has_unseen : bool
        Whether there will be predictions of rows that the model has not seen.
    called : str
        The target in messages.
    """
    if len(classes) != 2:
        raise ValueError(
            f"threshold={threshold!r} is for two classes, and {called} has {len(classes)}"
        )
    if isinstance(threshold, Real):
        return
    if not has_unseen:
        raise ValueError(
            f"threshold={threshold!r} is chosen on rows that the networks have not seen, and a "
            "single network has none; use members=5, or set no parameter of a network"
        )
    if isinstance(threshold, Mapping):
        known = {*classes.tolist()}
        if set(threshold) != known or not all(
            isinstance(cost, Real) and 0 < float(cost) < np.inf for cost in threshold.values()
        ):
            raise ValueError(
                "threshold must have a cost above 0 for each of the classes "
                f"{', '.join(map(repr, classes.tolist()))}, got {dict(threshold)!r}"
            )


def choose_threshold(
    threshold: Any,
    classes: NDArray[Any],
    is_second: NDArray[np.bool_],
    probability: NDArray[Any],
    weight: NDArray[np.float64] | None,
) -> float:
    """Choose the probability above which a row is predicted to be of the second class.

    Parameters
    ----------
    threshold : float, 'f1' or dict
        A number is returned as it is. 'f1' is the highest F1 score of the second class. A dict has
        the cost of a row of each class that is predicted to be of the other one, of which the sum
        is lowest.
    classes : ndarray of shape (2,)
    is_second : ndarray of shape (n_rows,), bool
        Whether the row is of the second class.
    probability : ndarray of shape (n_rows,)
        What is predicted for the second class, for rows that were not trained on.
    weight : ndarray of shape (n_rows,) or None

    Returns
    -------
    float
        Half way between two predictions.
    """
    if isinstance(threshold, Real):
        return float(threshold)
    order = np.argsort(-probability, kind="stable")
    p, hits = probability[order].astype(np.float64), is_second[order].astype(np.float64)
    w = np.ones(len(p)) if weight is None else weight[order]
    # Sums over the rows that are predicted to be of the second class: of none, of the first, ...
    true = np.append(0.0, np.cumsum(w * hits))
    false = np.append(0.0, np.cumsum(w * (1 - hits)))
    if isinstance(threshold, Mapping):
        costs = [float(threshold[label]) for label in classes.tolist()]
        goodness = -(costs[0] * false + costs[1] * (true[-1] - true))
    else:
        goodness = 2 * true / np.maximum(true + false + true[-1], 1e-300)
    # Rows with equal predictions cannot be told apart.
    cuts = np.flatnonzero(np.append(True, np.append(p[1:] < p[:-1], True)))
    bounds = np.concatenate([[1.0], p, [0.0]])
    best = cuts[np.argmax(goodness[cuts])]
    return float((bounds[best] + bounds[best + 1]) / 2)
