"""Checks and conversion of X, y and sample weights, as users give them."""

from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn import get_config
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import validate_data

from ..engines.devices import device_matrix, host_array, is_device_array
from ..exceptions import warn_user
from ._sklearn import check_sample_weight, check_y
from .sparse_inputs import check_sparse

_FLOATS = [np.float64, np.float32]
# Beyond this number of values the time of scikit-learn's checks does not matter.
_SMALL = 100_000


def read_rows(estimator: Any, X: Any, y: Any, *, reset: bool, is_numeric: bool) -> tuple[Any, Any]:
    """Check X and y, and convert them to arrays; an X on a GPU stays there.

    Parameters
    ----------
    estimator : BaseMLP
        Its attributes about features are set or compared; see `reset`.
    X : array-like or sparse matrix of shape (n_rows, n_features)
    y : array-like of shape (n_rows,) or (n_rows, n_outputs)
    reset : bool
        Whether to set the number and names of the estimator's features. Otherwise those of X are
        compared with them.
    is_numeric : bool
        Whether y has to be numbers.

    Returns
    -------
    X : ndarray, scipy.sparse matrix or DeviceMatrix of shape (n_rows, n_features)
        Its type is float32 if the given X has it, else float64.
    y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
        A single column is a vector, of which scikit-learn's warning tells.

    Raises
    ------
    ValueError, TypeError
        When the data cannot be used; these are scikit-learn's own errors, but for sparse matrices
        that are damaged.
    """
    if _is_plain_matrix(X) and _is_plain_vector(y, len(X)):
        if reset:
            vars(estimator).pop("feature_names_in_", None)
            estimator.n_features_in_ = X.shape[1]
            return X, y
        if _is_plain(estimator, X):
            return X, y
    y = host_array(y)
    check_sparse("X", X)
    check_sparse("y", y)
    if issparse(y) and (is_numeric or y.ndim == 1 or y.shape[1] == 1):
        y = _dense_targets(y)
    checks = {"multi_output": True, "y_numeric": is_numeric}
    if not is_device_array(X):
        X, y = validate_data(
            estimator, X, y, accept_sparse="csr", dtype=_FLOATS, reset=reset, **checks
        )
        return X, _flatten_column(y)
    X = _read_device_array(estimator, X, reset)
    y = check_y(y, estimator=estimator, **checks)
    check_consistent_length(X, y)
    return X, _flatten_column(y)


def read_features(estimator: Any, X: Any) -> Any:
    """Check the X of a prediction, whose dtype is kept.

    Parameters
    ----------
    estimator : BaseMLP
        The number and names of its features are compared with those of X.
    X : array-like or sparse matrix of shape (n_rows, n_features)

    Returns
    -------
    ndarray, scipy.sparse matrix or DeviceMatrix of shape (n_rows, n_features)
    """
    if _is_plain(estimator, X):
        return X
    check_sparse("X", X)
    if is_device_array(X):
        return _read_device_array(estimator, X, reset=False)
    return validate_data(estimator, X, accept_sparse="csr", reset=False)


def _is_plain(estimator: Any, X: Any) -> bool:
    """Tell whether X is a small matrix that scikit-learn would accept as it is.

    Its checks take longer than the prediction of a few rows. Here they are made for what most
    callers give, and whatever fails one is left to scikit-learn.
    """
    return (
        _is_plain_matrix(X)
        and X.shape[1] == getattr(estimator, "n_features_in_", None)
        and not hasattr(estimator, "feature_names_in_")
    )


def _is_plain_matrix(X: Any) -> bool:
    """Tell whether X is a small matrix of finite numbers, of one of the types that are kept."""
    return (
        type(X) is np.ndarray
        and X.ndim == 2
        and (X.dtype == np.float32 or X.dtype == np.float64)
        and 0 < X.size <= _SMALL
        and bool(np.isfinite(X).all())
    )


def _is_plain_vector(y: Any, size: int) -> bool:
    """Tell whether y is a vector of that many finite numbers."""
    return (
        type(y) is np.ndarray
        and y.ndim == 1
        and len(y) == size
        and y.dtype.kind in "biuf"
        and bool(np.isfinite(y).all())
    )


def read_weight(sample_weight: Any, X: Any, dtype: Any = None) -> np.ndarray | None:
    """Check sample weights.

    Parameters
    ----------
    sample_weight : array-like of shape (n_rows,) or None
    X : array of shape (n_rows, n_features)
    dtype : numpy.dtype or None
        Type of the result; None keeps float32 and float64, and makes anything else float64.

    Returns
    -------
    ndarray of shape (n_rows,) or None
    """
    if sample_weight is None:
        return None
    return check_sample_weight(host_array(sample_weight), X, dtype=dtype)


def _dense_targets(y: Any) -> np.ndarray:
    """Return sparse targets as an array; raise scikit-learn's TypeError for a single column."""
    if y.ndim == 2 and y.shape[1] == 1:
        raise TypeError(
            "Sparse data was passed for y, but dense data is required. Use '.toarray()' to convert "
            "to a dense numpy array."
        )
    return y.toarray()


def _flatten_column(y: np.ndarray) -> np.ndarray:
    """Return a single column as a vector, with scikit-learn's warning; all else unchanged."""
    if y.ndim == 2 and y.shape[1] == 1:
        warn_user(
            "A column-vector y was passed when a 1d array was expected. Please change the shape "
            "of y to (n_samples,), for example using ravel().",
            DataConversionWarning,
        )
        return y.ravel()
    return y


def _read_device_array(estimator: Any, X: Any, reset: bool) -> Any:
    X = device_matrix(estimator.device, X, get_config()["assume_finite"])
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    return X
