"""The target by which columns are encoded: the numbers of classes, or standardised numbers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from ..columns import decide_task
from ..frames import read_target
from ..targets import check_complete, target_values

_MOST_CLASSES = 10
_RANDOM_FOLDS = 5


@dataclass
class Target:
    """A target that columns are encoded by.

    Attributes
    ----------
    values : ndarray of shape (n_rows,)
        The numbers of the classes from 0 on, or standardised numbers.
    n_classes : int
        0 for a regression.
    """

    values: NDArray[Any]
    n_classes: int

    def averaged(self) -> NDArray[np.float64]:
        """Return what is averaged, of shape (n_rows, n_means).

        One column for each class, one for two classes, none for very many, and the numbers
        themselves for a regression.
        """
        if not self.n_classes:
            return self.values[:, None].astype(np.float64)
        if self.n_classes > _MOST_CLASSES:
            return np.empty((len(self.values), 0))
        classes = np.arange(self.n_classes) if self.n_classes > 2 else np.array([1])
        return (self.values[:, None] == classes).astype(np.float64)


def read_encoding_target(estimator: Any, y: Any, task: str) -> Target:
    """Read a target that columns are encoded by.

    Parameters
    ----------
    estimator : estimator
        Messages name its class.
    y : array-like of shape (n_rows,)
    task : {'auto', 'classification', 'regression'}
        What the target is; 'auto' decides by its values.

    Returns
    -------
    Target

    Raises
    ------
    DataError
        When it has missing values, or does not fit the task.
    ValueError
        When it is None.
    """
    series = read_target(estimator, y)
    check_complete(series)
    if task == "auto":
        task, _ = decide_task(series)
    values = target_values(series, task)
    if task == "classification":
        classes, codes = np.unique(values, return_inverse=True)
        return Target(codes, len(classes))
    deviation = values.std()
    return Target((values - values.mean()) / (deviation if deviation > 0 else 1.0), 0)


def read_folds(folds: Any, n_rows: int, random_state: Any) -> NDArray[np.intp]:
    """Return the fold of each row, counted from 0.

    Parameters
    ----------
    folds : array-like of shape (n_rows,) or None
        The number of each row's fold; None draws five folds at random.
    n_rows : int
    random_state : int, RandomState instance or None

    Returns
    -------
    ndarray of shape (n_rows,), int

    Raises
    ------
    ValueError
        When there is another number of folds than rows, or all rows are in one.
    """
    if folds is None:
        rng = check_random_state(random_state)
        shuffled: NDArray[np.intp] = rng.permutation(n_rows) % min(_RANDOM_FOLDS, n_rows)
        return shuffled
    folds = np.asarray(folds)
    if folds.shape != (n_rows,):
        raise ValueError(f"folds has the shape {folds.shape}; {n_rows} numbers of folds are needed")
    numbers, codes = np.unique(folds, return_inverse=True)
    if len(numbers) < 2:
        raise ValueError("folds has a single number; at least two folds are needed")
    return codes
