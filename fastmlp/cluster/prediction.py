"""Lazy predictions: each partition is predicted where it lies."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from ..estimators.base import BaseMLP
from ..exceptions import DataError, InputError
from ..tabular.frames import predictions_like


def predict_lazily(model: Any, X: Any, method: str) -> Any:
    """Predict a frame or an array of Dask; see :func:`fastmlp.dask.predict`."""
    if method == "predict_proba" and not hasattr(model, method):
        raise InputError(f"a {type(model).__name__} predicts no probabilities; use predict")
    from dask import array, dataframe

    check_is_fitted(model)
    if isinstance(X, dataframe.DataFrame):
        # An empty frame tells what a prediction is like, and finds columns that are missing.
        meta = _of_frame(X._meta, model, method)
        return X.map_partitions(_of_frame, model, method, meta=meta, enforce_metadata=False)
    if not isinstance(X, array.Array):
        raise InputError(
            "what is predicted lazily is a dask.dataframe.DataFrame or a dask.array.Array; "
            f"for a {type(X).__name__} call the method of the model"
        )
    if X.ndim != 2 or np.isnan(X.shape[1]):
        raise DataError("what is predicted must have two dimensions and a known number of columns")
    first = _of_array(np.zeros((1, X.shape[1]), dtype=X.dtype), model, method)
    X = X.rechunk({1: -1}) if len(X.chunks[1]) > 1 else X
    if first.ndim == 1:
        return X.map_blocks(_of_array, model, method, drop_axis=1, dtype=first.dtype)
    chunks = (X.chunks[0], (first.shape[1],))
    return X.map_blocks(_of_array, model, method, chunks=chunks, dtype=first.dtype)


def _of_frame(frame: Any, model: Any, method: str) -> Any:
    """Predict a partition, which may have no rows."""
    classes = list(model.classes_) if method == "predict_proba" else None
    name = getattr(model, "target_name_", None)
    return predictions_like(frame, _called(model, method, frame), name, classes)


def _of_array(X: NDArray[Any], model: Any, method: str) -> NDArray[Any]:
    """Predict a block, which may have no rows."""
    return _called(model, method, X)


def _called(model: Any, method: str, rows: Any) -> NDArray[Any]:
    """Call a method on rows; networks refuse to predict none, as scikit-learn's do."""
    predict: Callable[[Any], NDArray[Any]] = getattr(model, method)
    if len(rows) or not isinstance(model, BaseMLP):
        return predict(rows)
    is_frame = hasattr(rows, "columns")
    one = (
        rows.reindex([0], fill_value=0)
        if is_frame
        else np.zeros_like(rows, shape=(1, rows.shape[1]))
    )
    return predict(one)[:0]
