"""Folds: which rows are held out together."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# The fold of rows that are never held out.
NEVER = -1


def stratified_folds(
    values: NDArray[Any],
    task: str,
    n_folds: int,
    random_state: np.random.RandomState,
    weight: NDArray[np.float64] | None = None,
) -> NDArray[np.intp]:
    """Deal the rows out to folds, so that each fold has a like share of every class or size.

    Parameters
    ----------
    values : ndarray of shape (n_rows,)
        The labels or numbers of the target.
    task : {'classification', 'regression'}
    n_folds : int
    random_state : numpy.random.RandomState
    weight : ndarray of shape (n_rows,), optional
        Rows that weigh nothing are never held out, since no loss can be measured on them.

    Returns
    -------
    ndarray of shape (n_rows,), of int
        The fold of each row, from 0 on, or ``NEVER``. The sizes of folds differ by at most one. A
        class with at least `n_folds` rows has rows in every fold, and a number lies in one fold
        with none of its ``n_folds - 1`` next ones, where the target is sorted and cut.
    """
    folds = np.full(len(values), NEVER, dtype=np.intp)
    counted = np.arange(len(values)) if weight is None else np.flatnonzero(weight > 0)
    # A row's place among its equals is drawn.
    order = counted[np.lexsort((random_state.random_sample(len(counted)), values[counted]))]
    names = random_state.permutation(n_folds)
    for start in range(0, len(order), n_folds):
        block = order[start : start + n_folds]
        if task == "regression":
            names = random_state.permutation(n_folds)
        folds[block] = names[: len(block)]
    return folds
