"""What users pass as X and y, as pandas' frames and series."""

import numpy as np
import pandas as pd
from sklearn.utils import column_or_1d
from sklearn.utils.validation import validate_data

from ..exceptions import DataError


def read_frame(estimator, X, reset):
    """X as a data frame whose columns have the types of what they hold.

    A frame of pandas is taken as it is, one of polars or of Arrow is converted. An array has
    columns that are numbers, or those of the frame that the estimator was fitted with.

    Parameters
    ----------
    estimator : BaseEstimator
        Its ``n_features_in_`` and ``feature_names_in_`` are set when `reset`; otherwise an array
        must have as many columns. A frame may have others: they are looked up by name.
    X : data frame or array-like of shape (n_rows, n_columns)
    reset : bool
        Whether this is ``fit``.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    DataError
        When a frame is empty, has complex numbers or names a column twice.
    ValueError
        When an array is no matrix, is infinite somewhere, or has another number of columns.
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


def as_pandas(X):
    """A frame of any kind as one of pandas; all else as it is."""
    if isinstance(X, pd.DataFrame):
        return X
    if hasattr(X, "iter_columns"):  # polars, whose own conversion needs another package
        columns = {column.name: column.to_numpy() for column in X.iter_columns()}
        return with_booleans(pd.DataFrame(columns).infer_objects())
    if hasattr(X, "column_names") and hasattr(X, "to_pandas"):
        return with_booleans(X.to_pandas())
    return X


def _from_array(estimator, X, reset):
    if isinstance(X, list | tuple) and np.asarray(X).dtype.kind in "US":
        X = np.asarray(X, dtype=object)  # numbers beside text stay numbers
    X = validate_data(estimator, X, reset=reset, dtype=None, ensure_all_finite="allow-nan")
    names = None if reset else getattr(estimator, "feature_names_in_", None)
    return with_booleans(pd.DataFrame(X, columns=names).infer_objects())


def with_booleans(frame):
    """Give columns of truth values beside missing ones the type of truth values, in place."""
    for name in frame.columns:
        is_object = pd.api.types.is_object_dtype(frame[name])
        if is_object and pd.api.types.infer_dtype(frame[name], skipna=True) == "boolean":
            frame[name] = frame[name].astype("boolean")
    return frame


def check_frame(frame):
    """Refuse what is no table, is empty, has complex numbers, or names a column twice."""
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"a pandas DataFrame is needed, not a {type(frame).__name__}")
    if not len(frame) or not len(frame.columns):
        raise DataError("the table has no rows or no columns")
    if not frame.columns.is_unique:
        name = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"column name {name!r} stands there more than once; names must differ")
    for name, dtype in frame.dtypes.items():
        if pd.api.types.is_complex_dtype(dtype):
            raise DataError(f"column {name!r} has complex numbers")


def read_target(estimator, y):
    """y as a series with the type of what it holds.

    Parameters
    ----------
    estimator : BaseEstimator
        Named in the message where there is no y.
    y : array-like of shape (n_rows,) or (n_rows, 1)
        A column is flattened, with scikit-learn's warning.

    Returns
    -------
    pandas.Series
        Its name is that of `y`, None without one.

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
        return y
    name = getattr(y, "name", None)
    values = y.to_numpy() if hasattr(y, "to_numpy") else np.asarray(y)
    if isinstance(y, pd.DataFrame) and len(y.columns) == 1:
        name = y.columns[0]
    series = pd.Series(column_or_1d(values, warn=True), name=name)
    return series.infer_objects()
