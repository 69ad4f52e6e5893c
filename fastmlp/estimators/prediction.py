"""Predictions of fitted estimators: the outputs of their networks.

What a prediction needs beside the weights is remembered for each estimator, so that one of a few
rows costs microseconds. The weights are not copied: a prediction reads the arrays in ``coefs_`` and
``intercepts_`` themselves, however a user has changed them.
"""

import contextlib
import weakref
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse

from ..engines import devices
from ..engines.engine import Matrix, PredictionNetwork
from ..engines.ranges import check_range
from ..exceptions import DataWarning, warn_user
from ..network import weights
from ..network.plan import TrainingPlan
from . import planning

_FLOAT64 = np.dtype(np.float64)


class _Known(NamedTuple):
    """The network of an estimator, as it was when it predicted last."""

    network: PredictionNetwork
    names: tuple[Any, ...]
    """The names of its activations, which users can change after a fit."""
    dtype: np.dtype
    """The widest type of the arrays, of which a user may have set some."""


# Estimators that are freed are forgotten, and copies and pickles know nothing of this.
_KNOWN: weakref.WeakKeyDictionary[Any, _Known] = weakref.WeakKeyDictionary()


def predict_outputs(estimator: Any, plan: TrainingPlan, theta: np.ndarray, X: Matrix) -> np.ndarray:
    """Compute the outputs of a network on the device of an estimator."""
    return devices.predict(estimator.device, plan, theta, X, estimator.n_jobs)


def outputs(estimator: Any, X: Any, owner: Any) -> np.ndarray:
    """Compute the activations of the output layer of a fitted estimator.

    Rows for which float32 overflows are computed in float64.

    Parameters
    ----------
    estimator : BaseMLP
    X : ndarray, scipy.sparse matrix or DeviceMatrix of shape (n_rows, n_features)
        It has been checked.
    owner : BaseMLP
        The estimator that is asked, for which the network is remembered. `estimator` has its
        attributes, which a fit in another thread does not change.

    Returns
    -------
    ndarray of shape (n_rows, n_outputs)
        Its type is the wider one of those of X and of the weights. Where a regression gives
        values that are not finite, a :class:`fastmlp.DataWarning` says so.

    Raises
    ------
    ValueError
        When the weights are no network, when float64 cannot hold X, or when probabilities are not
        finite.
    """
    coefs, intercepts = list(estimator.coefs_), list(estimator.intercepts_)
    # The arrays must stay alive until the end, whatever another thread does to the estimator.
    network, arrays, dtype = network_of(estimator, coefs, intercepts, owner)
    wide = dtype if X.dtype == dtype else np.result_type(X.dtype, dtype)
    if wide.kind != "f":  # both are integers
        wide = _FLOAT64
    check_range("X", X, _FLOAT64)
    narrow, is_lost = _as_type(X, network.plan.dtype)
    result = _predict(estimator, network, arrays, narrow)
    if is_lost is None and np.isfinite(result).all():
        return result.astype(wide, copy=False)
    is_bad = ~np.isfinite(result).all(axis=1)
    if is_lost is not None:
        is_bad |= is_lost
    numbers = np.flatnonzero(is_bad)
    result, rows = result.astype(wide, copy=False), _rows_of_float64(X, numbers)
    if network.plan.dtype == np.float32:
        with np.errstate(over="ignore"):
            result[numbers] = _outputs_in_float64(network.plan, arrays, rows, estimator.n_jobs)
    # Where scikit-learn was told to assume it, X may hold what gives such outputs by itself.
    numbers = numbers[_is_finite(rows) & ~np.isfinite(result[numbers]).all(axis=1)]
    if numbers.size:
        _complain(estimator.out_activation_, arrays, numbers, len(result))
    return result


def outputs_of_all(estimators: Sequence[Any], inputs: Sequence[np.ndarray]) -> np.ndarray | None:
    """Compute the outputs of several fitted estimators, each for a few rows of its own.

    It is what :func:`outputs` returns for each of them, with less work beside the networks.

    Parameters
    ----------
    estimators : sequence of BaseMLP
        With the same number of outputs.
    inputs : sequence of ndarray of shape (n_rows, n_features)
        As many as estimators; each C-contiguous.

    Returns
    -------
    ndarray of shape (n_estimators, n_rows, n_outputs), or None
        None where the types of weights and inputs differ, where an estimator is not for the CPU,
        and where an output is not finite.
    """
    found = []
    for estimator, X in zip(estimators, inputs, strict=True):
        coefs, intercepts = list(estimator.coefs_), list(estimator.intercepts_)
        network, arrays, dtype = network_of(estimator, coefs, intercepts, estimator)
        if estimator.device != "cpu" or not X.dtype == dtype == network.plan.dtype:
            return None
        found.append(devices.predict_rows(network, arrays, X, estimator.n_jobs))
    result = np.array(found)
    return result if np.isfinite(result).all() else None


def network_of(
    estimator: Any, coefs: list[Any], intercepts: list[Any], owner: Any
) -> tuple[PredictionNetwork, Sequence[np.ndarray], np.dtype]:
    """Return the network of an estimator, and the arrays of its weights and biases.

    Parameters
    ----------
    estimator : BaseMLP
    coefs, intercepts : list of array-like
        What the estimator has as ``coefs_`` and ``intercepts_``.
    owner : BaseMLP
        The estimator for which the network is remembered.

    Returns
    -------
    network : PredictionNetwork
    arrays : sequence of ndarray
        They are the given ones, unless these have to be converted.
    dtype : numpy.dtype
        The widest type of the given arrays.
    """
    activation = estimator.activation
    names = (
        activation if isinstance(activation, str) else tuple(activation),
        estimator.out_activation_,
    )
    try:
        known = _KNOWN.get(owner)
    except TypeError:  # the class of a user may have no hash
        known = None
    if known is not None and known.names == names and known.network.is_of(coefs, intercepts):
        return known.network, (*coefs, *intercepts), known.dtype
    types = {np.asarray(array).dtype for array in (*coefs, *intercepts)}
    coefs, intercepts = weights.checked(coefs, intercepts)
    # Objects were read as float64.
    dtype = np.result_type(*(_FLOAT64 if given.kind == "O" else given for given in types))
    plan = planning.plan_of_weights(estimator, coefs)
    network = devices.prediction_network(plan, coefs, intercepts)
    with contextlib.suppress(TypeError):
        _KNOWN[owner] = _Known(network, names, dtype)
    return network, (*coefs, *intercepts), dtype


def _predict(
    estimator: Any, network: PredictionNetwork, arrays: Sequence[np.ndarray], X: Any
) -> np.ndarray:
    """Predict in the type of the network, on the device of an estimator."""
    device, plan, n_jobs = estimator.device, network.plan, estimator.n_jobs
    if device == "cpu" or not devices.predicts_on_gpu(device, plan, X):
        return devices.predict_rows(network, arrays, X, n_jobs)
    n_layers = len(arrays) // 2
    theta = weights.flatten(arrays[:n_layers], arrays[n_layers:], plan.dtype)
    return devices.predict(device, plan, theta, X, n_jobs)


def _as_type(X: Any, dtype: np.dtype) -> tuple[Any, np.ndarray | None]:
    """Convert X to a type that may be narrower, and find the rows that it cannot hold.

    Parameters
    ----------
    X : ndarray, scipy.sparse matrix or DeviceMatrix of shape (n_rows, n_features)
    dtype : numpy.dtype

    Returns
    -------
    X : ndarray, scipy.sparse matrix or DeviceMatrix of shape (n_rows, n_features)
        X itself where its type is no wider.
    is_lost : ndarray of shape (n_rows,), bool, or None
        Whether a value of the row is beyond the type; None where there is no such row.
    """
    if X.dtype.kind != "f" or X.dtype.itemsize <= dtype.itemsize:
        return X, None
    if devices.is_device_array(X):
        narrow = X.astype(dtype)
        if narrow.is_finite():
            return narrow, None
        X = np.asarray(X)
    with np.errstate(over="ignore"):
        narrow = X.astype(dtype)
    values = narrow.data if issparse(X) else narrow
    return narrow, None if np.isfinite(values).all() else ~_is_finite(narrow)


def _is_finite(X: Any) -> np.ndarray:
    """Tell of each row of an array or of compressed rows whether all its values are finite."""
    if not issparse(X):
        return np.isfinite(X).all(axis=1)
    result = np.ones(X.shape[0], dtype=bool)
    rows = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
    result[rows[~np.isfinite(X.data[: rows.size])]] = False
    return result


def _rows_of_float64(X: Any, numbers: np.ndarray) -> Any:
    """Copy some rows of X to the host, in float64."""
    rows = X[numbers]
    if devices.is_device_array(rows):
        rows = np.asarray(rows)
    return rows.astype(np.float64)


def _outputs_in_float64(
    plan: TrainingPlan, arrays: Sequence[np.ndarray], X: Matrix, n_jobs: int | None
) -> np.ndarray:
    """Predict on the CPU, by weights and a plan of float64 instead of float32."""
    arrays = [array.astype(np.float64) for array in arrays]
    n_layers = len(arrays) // 2
    network = devices.prediction_network(
        replace(plan, dtype=_FLOAT64), arrays[:n_layers], arrays[n_layers:]
    )
    return devices.predict_rows(network, arrays, X, n_jobs)


def _complain(
    activation: str, arrays: Sequence[np.ndarray], numbers: np.ndarray, n_rows: int
) -> None:
    """Warn of outputs that are not finite, or raise ValueError where they are probabilities.

    Parameters
    ----------
    activation : str
        That of the output layer.
    arrays : sequence of ndarray
        Weights and biases.
    numbers : ndarray of shape (n_bad_rows,), int64
        The rows that have such outputs.
    n_rows : int
        Number of all rows.
    """
    if all(np.isfinite(array).all() for array in arrays):
        cause = "values of X are too large for the network: scale X as for the fit"
    else:
        cause = "coefs_ and intercepts_ hold values that are not finite"
    what = (
        f"the outputs of {numbers.size} of {n_rows} rows are not finite, of row {numbers[0]} first"
    )
    if activation in ("logistic", "softmax"):
        raise ValueError(f"{what}; {cause}")
    warn_user(f"{what}; {cause}", DataWarning)
