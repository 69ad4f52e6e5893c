"""Conversion of the X and y that users pass to frames and series of pandas."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
from numpy.typing import NDArray
from sklearn.utils import column_or_1d
from sklearn.utils.validation import validate_data

from ..exceptions import DataError, warn_user
from .targets import plain_target


def read_frame(estimator: Any, X: Any, reset: bool) -> pd.DataFrame:
    """Convert X to a data frame.

    A frame of pandas is taken as it is; one of polars or of Arrow, a dict of columns and a list of
    dicts are converted. The columns of an array are named by their numbers, or as in the frame
    that the estimator was fitted with.

    Parameters
    ----------
    estimator : BaseEstimator
        The estimator that was given X. Its ``n_features_in_`` and ``feature_names_in_`` are set
        if `reset` is True; otherwise an array must have ``n_features_in_`` columns. A frame may
        have further columns, since columns are later looked up by name. After a fit on an array,
        a frame must have as many columns, which are taken in their order.
    X : data frame or array-like of shape (n_rows, n_columns)
    reset : bool
        Whether ``fit`` reads the table, rather than a method of the fitted estimator. Only ``fit``
        needs rows.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    DataError
        When a frame is empty, has complex numbers or names a column twice, and when an array has
        infinite values.
    ValueError
        When an array is not two-dimensional, or has another number of columns.
    """
    frame = as_pandas(X)
    if not isinstance(frame, pd.DataFrame):
        return _from_array(estimator, frame, reset)
    check_frame(frame, needs_rows=reset)
    if reset:
        estimator.n_features_in_ = len(frame.columns)
        vars(estimator).pop("feature_names_in_", None)
        if all(isinstance(name, str) for name in frame.columns):
            estimator.feature_names_in_ = np.asarray(frame.columns, dtype=object)
        return frame
    return _by_position(estimator, frame)


def _by_position(estimator: Any, frame: pd.DataFrame) -> pd.DataFrame:
    """Name the columns of a frame as those of the array that the estimator was fitted with.

    A frame that has these names keeps them, and so does one for an estimator with other names.
    """
    names = [column["name"] for column in estimator.columns_]
    if names != list(range(len(names))) or any(name in frame.columns for name in names):
        return frame
    if len(frame.columns) != len(names):
        raise DataError(
            f"X has {len(frame.columns)} columns, but {type(estimator).__name__} was fitted with "
            f"an array of {len(names)} columns"
        )
    warn_user(
        f"X has feature names, but {type(estimator).__name__} was fitted without feature names; "
        "its columns are taken in their order"
    )
    return frame.set_axis(names, axis=1)


def empty_frame(names: Sequence[str]) -> pd.DataFrame:
    """Return a frame without rows."""
    return pd.DataFrame(columns=list(names))


def joined_frames(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join frames of the same columns, one below the other."""
    return pd.concat(frames, ignore_index=True)


def predictions_like(
    frame: pd.DataFrame, predicted: NDArray[Any], name: Any, columns: list[Any] | None = None
) -> pd.Series | pd.DataFrame:
    """Give predictions the index of the frame that they are about.

    Parameters
    ----------
    frame : pandas.DataFrame
    predicted : ndarray of shape (n_rows,) or (n_rows, n_columns)
    name : hashable
        The name of a series.
    columns : list, optional
        The names of several columns; by default they are numbered.

    Returns
    -------
    pandas.Series or pandas.DataFrame
    """
    if predicted.ndim == 1:
        return pd.Series(predicted, index=frame.index, name=name)
    return pd.DataFrame(predicted, index=frame.index, columns=columns)


def as_pandas(X: Any) -> Any:
    """Convert a data frame of polars or Arrow to pandas; return anything else as it is.

    A dict of columns and a list of dicts become frames, too.

    Raises
    ------
    DataError
        When it is a table of another package that this cannot read, such as a lazy frame.
    """
    if isinstance(X, pd.DataFrame | pd.Series | np.ndarray) or scipy.sparse.issparse(X):
        return X  # scikit-learn refuses what is sparse
    # The frames of polars have a conversion of their own, but it needs another package.
    if hasattr(X, "iter_columns"):
        return _from_polars(X)
    if isinstance(X, Mapping) or (isinstance(X, list) and X and isinstance(X[0], Mapping)):
        if isinstance(X, Mapping) and X and all(np.ndim(value) == 0 for value in X.values()):
            raise DataError("the dict has a single value for each column; put it into a list")
        try:
            return pd.DataFrame(X)
        except ValueError as error:
            raise DataError(f"the {type(X).__name__} is no table: {error}") from None
    if hasattr(X, "to_pandas") and (hasattr(X, "schema") or hasattr(X, "columns")):
        return X.to_pandas()
    if hasattr(X, "collect") or hasattr(X, "collect_schema"):
        raise DataError(f"a {full_name(X)} is no table yet; call its collect() first")
    return X


def _from_polars(X: Any) -> pd.DataFrame:
    columns = {}
    for column in X.iter_columns():
        try:
            values = column.to_numpy()
        except Exception:
            # Some types, such as the nested ones, have no array of their own.
            values = None
        if values is None or values.ndim != 1:
            values = np.empty(len(column), dtype=object)
            values[:] = column.to_list()
        columns[column.name] = values
    return pd.DataFrame(columns).infer_objects()


def full_name(X: Any) -> str:
    """Return the name of an object's class with that of its package, such as polars.LazyFrame."""
    package = type(X).__module__.split(".")[0]
    return type(X).__name__ if package in ("builtins", "numpy") else f"{package}.{type(X).__name__}"


def _from_array(estimator: Any, X: Any, reset: bool) -> pd.DataFrame:
    if isinstance(X, list | tuple) and np.asarray(X).dtype.kind in "US":
        X = np.asarray(X, dtype=object)  # otherwise numbers beside text would become text
    X = validate_data(
        estimator,
        X,
        reset=reset,
        dtype=None,
        ensure_all_finite=False,
        ensure_min_samples=int(reset),
    )
    if X.dtype.kind == "f" and np.isinf(X).any():
        row, column = np.argwhere(np.isinf(X))[0]
        raise DataError(
            f"Input X contains infinity: column {column} is infinite in row {row + 1}; leave the "
            "row out, or make the value missing"
        )
    names = None if reset else getattr(estimator, "feature_names_in_", None)
    return pd.DataFrame(X, columns=names)


def check_frame(frame: Any, needs_rows: bool = True) -> None:
    """Refuse a table that no model can be made of or used on.

    Parameters
    ----------
    frame : object
    needs_rows : bool, default=True
        Whether a table without rows is refused.

    Raises
    ------
    DataError
        When it is no data frame of pandas, is empty, names a column twice, or has complex
        numbers.
    """
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"a pandas DataFrame is needed, not a {full_name(frame)}")
    if (needs_rows and not len(frame)) or not len(frame.columns):
        raise DataError("the table has no rows or no columns")
    if not frame.columns.is_unique:
        repeated = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"column name {repeated!r} stands there more than once; names must differ")
    for name, dtype in zip(frame.columns, frame.dtypes, strict=True):
        if issubclass(dtype.type, np.complexfloating):
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
    name = getattr(y, "name", None)
    if isinstance(y, pd.Series):
        return plain_target(y)
    if isinstance(y, pd.DataFrame) and len(y.columns) == 1:
        name, y = y.columns[0], y.to_numpy()
    return plain_target(pd.Series(column_or_1d(_values_of(y), warn=True), name=name))


def _values_of(y: Any) -> NDArray[Any]:
    """Return the array of a target or of several, without making text of numbers."""
    if isinstance(y, list | tuple) and np.asarray(y).dtype.kind in "US":
        values = np.asarray(y, dtype=object)  # otherwise numbers beside text would become text
    else:
        values = y.to_numpy() if hasattr(y, "to_numpy") else np.asarray(y)
    if values.dtype.kind == "S":
        values = values.astype(object)  # bytes, whose text is read from objects
    return values


class PlaceName(str):
    """What messages call a column of an array of targets, which has no name."""


def read_targets(estimator: Any, y: Any) -> list[pd.Series]:
    """Convert the targets of a regression to series with the types of the values in them.

    Parameters
    ----------
    estimator : BaseEstimator
        The message of the error for a missing `y` names its class.
    y : array-like of shape (n_rows,) or (n_rows, n_targets)
        A frame of pandas or polars, or an array. A single target is read by :func:`read_target`.

    Returns
    -------
    list of pandas.Series
        Where there are several, the columns of an array are called ``y[:, 0]`` and so on.

    Raises
    ------
    DataError
        When a frame names a target twice, or a cell holds neither a number nor text.
    ValueError
        When `y` is None or is no table.
    """
    if hasattr(y, "columns") and not isinstance(y, pd.DataFrame) and np.shape(y)[1:] > (1,):
        y = as_pandas(y)
    if isinstance(y, pd.DataFrame) and len(y.columns) > 1:
        if not y.columns.is_unique:
            repeated = y.columns[y.columns.duplicated()][0]
            raise DataError(f"target {repeated!r} stands there more than once; names must differ")
        return [plain_target(y.iloc[:, i]) for i in range(len(y.columns))]
    if isinstance(y, np.ndarray | list | tuple):
        values = _values_of(y)
        if values.ndim == 2 and values.shape[1] > 1:
            columns = [pd.Series(v, name=PlaceName(f"y[:, {i}]")) for i, v in enumerate(values.T)]
            return [plain_target(column) for column in columns]
    return [read_target(estimator, y)]
