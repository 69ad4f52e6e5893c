"""Conversion of the X and y that users pass to frames and series of pandas."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import column_or_1d
from sklearn.utils.validation import validate_data

from ..exceptions import DataError


def read_frame(estimator: Any, X: Any, reset: bool) -> pd.DataFrame:
    """Convert X to a data frame whose columns have the types of the values in them.

    A frame of pandas is taken as it is; one of polars or of Arrow is converted. The columns of
    an array are named by their numbers, or as in the frame that the estimator was fitted with.

    Parameters
    ----------
    estimator : BaseEstimator
        The estimator that was given X. Its ``n_features_in_`` and ``feature_names_in_`` are set
        if `reset` is True; otherwise an array must have ``n_features_in_`` columns. A frame may
        have further columns, since columns are later looked up by name.
    X : data frame or array-like of shape (n_rows, n_columns)
    reset : bool
        Whether ``fit`` reads the table, rather than a method of the fitted estimator.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    DataError
        When a frame is empty, has complex numbers or names a column twice.
    ValueError
        When an array is not two-dimensional, has infinite values, or has another number of
        columns.
    """
    frame = as_pandas(X)
    if not isinstance(frame, pd.DataFrame):
        return _from_array(estimator, X, reset)
    check_frame(frame)
    if reset:
        estimator.n_features_in_ = len(frame.columns)
        vars(estimator).pop("feature_names_in_", None)
        if all(isinstance(name, str) for name in frame.columns):
            estimator.feature_names_in_ = np.asarray(frame.columns, dtype=object)
    return frame


def as_pandas(X: Any) -> Any:
    """Convert a data frame of polars or Arrow to pandas; return anything else as it is."""
    if isinstance(X, pd.DataFrame):
        return X
    # The frames of polars have a conversion of their own, but it needs another package.
    if hasattr(X, "iter_columns"):
        columns = {column.name: column.to_numpy() for column in X.iter_columns()}
        return with_booleans(pd.DataFrame(columns).infer_objects())
    if hasattr(X, "column_names") and hasattr(X, "to_pandas"):
        return with_booleans(X.to_pandas())
    return X


def _from_array(estimator: Any, X: Any, reset: bool) -> pd.DataFrame:
    if isinstance(X, list | tuple) and np.asarray(X).dtype.kind in "US":
        X = np.asarray(X, dtype=object)  # otherwise numbers beside text would become text
    X = validate_data(estimator, X, reset=reset, dtype=None, ensure_all_finite="allow-nan")
    names = None if reset else getattr(estimator, "feature_names_in_", None)
    return with_booleans(pd.DataFrame(X, columns=names).infer_objects())


def with_booleans(frame: pd.DataFrame) -> pd.DataFrame:
    """Convert object columns that hold only truth values and missing values to Boolean.

    Parameters
    ----------
    frame : pandas.DataFrame
        It is changed in place.

    Returns
    -------
    pandas.DataFrame
        The same frame.
    """
    for name in frame.columns:
        is_object = pd.api.types.is_object_dtype(frame[name])
        if is_object and pd.api.types.infer_dtype(frame[name], skipna=True) == "boolean":
            frame[name] = frame[name].astype("boolean")
    return frame


def check_frame(frame: Any) -> None:
    """Refuse a table that no model can be made of or used on.

    Raises
    ------
    DataError
        When it is no data frame of pandas, is empty, names a column twice, or has complex
        numbers.
    """
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"a pandas DataFrame is needed, not a {type(frame).__name__}")
    if not len(frame) or not len(frame.columns):
        raise DataError("the table has no rows or no columns")
    if not frame.columns.is_unique:
        repeated = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"column name {repeated!r} stands there more than once; names must differ")
    for name, dtype in frame.dtypes.items():
        if pd.api.types.is_complex_dtype(dtype):
            raise DataError(f"column {name!r} has complex numbers")


def read_target(estimator: Any, y: Any) -> pd.Series:
    """Convert a target to a series with the type of the values in it.

    Parameters
    ----------
    estimator : BaseEstimator
        The message of the error for a missing `y` names its class.
    y : array-like of shape (n_rows,) or (n_rows, 1)
        A matrix with one column is flattened, and scikit-learn warns of it.

    Returns
    -------
    pandas.Series
        It has the name of `y`, or None if `y` has no name.

    Raises
    ------
    ValueError
        When `y` is None or has several columns.
    """
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target "
            "y is None."
        )
    if isinstance(y, pd.Series):
        return y.infer_objects()
    name = getattr(y, "name", None)
    values = y.to_numpy() if hasattr(y, "to_numpy") else np.asarray(y)
    if isinstance(y, pd.DataFrame) and len(y.columns) == 1:
        name = y.columns[0]
    series = pd.Series(column_or_1d(values, warn=True), name=name)
    return series.infer_objects()
