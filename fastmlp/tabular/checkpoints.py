"""What tells one fit to a table from another, so that a checkpoint is used by its own."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..estimators.checkpoints import digest, parameters_of
from ..training.checkpoint import Fingerprint


def fingerprint(
    estimator: Any, frame: pd.DataFrame, targets: Sequence[NDArray[Any]], sample_weight: Any
) -> Fingerprint:
    """Describe the fit of an estimator to a table.

    Parameters
    ----------
    estimator : TabularClassifier or TabularRegressor
    frame : pandas.DataFrame
        The feature columns.
    targets : sequence of ndarray of shape (n_rows,)
    sample_weight : array-like of shape (n_rows,) or None

    Returns
    -------
    dict of str to str
    """
    found = parameters_of(estimator)
    found["the number of rows"] = str(len(frame))
    for i, name in enumerate(frame.columns):
        found[f"the name of column {i + 1}"] = repr(name)
        found[f"the digest of column {name!r}"] = _digest(frame.iloc[:, i])
    for i, values in enumerate(targets, 1):
        found[f"the digest of target {i}"] = digest([np.asarray(values)])
    if sample_weight is not None:
        found["the digest of sample_weight"] = digest([np.asarray(sample_weight)])
    return found


def _digest(column: pd.Series) -> str:
    try:
        hashed = pd.util.hash_pandas_object(column, index=False).to_numpy()
    except TypeError:  # of objects that have no hash
        hashed = pd.util.hash_pandas_object(column.astype(str), index=False).to_numpy()
    return blake2b(np.ascontiguousarray(hashed).data, digest_size=8).hexdigest()
