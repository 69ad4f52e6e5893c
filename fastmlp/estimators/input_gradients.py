"""Gradients of what a fitted network gives out with respect to what it is given."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import ClassifierMixin

from ..engines import devices
from ..engines.engine import Matrix
from ..engines.ranges import check_range
from ..exceptions import DataWarning, InputError, warn_user
from . import inputs, prediction
from .transaction import whole

OF = ("prediction", "score")


def network_gradients(
    estimator: Any,
    X: Any,
    class_: Any = None,
    *,
    output: int | None = None,
    of: str = "prediction",
    times_input: bool = False,
) -> Any:
    """Compute input gradients of an MLPClassifier or MLPRegressor.

    Parameters and result are those of :func:`fastmlp.input_gradients`.
    """
    check_of(of)
    estimator._check_fitted()
    model = whole(estimator)
    units, is_negated, is_single = _wanted(model, class_, output)
    X = inputs.read_features(model, X)
    of_entries = times_input and issparse(X)
    is_of_quantiles = (
        of == "prediction"
        and not isinstance(model, ClassifierMixin)
        and len(model._fitted_quantiles()) > 1
    )
    if is_of_quantiles:
        every = range(model.n_outputs_)
        gradients = _gradients(model, X, every, False, estimator, of_entries)
        found = prediction.outputs(model, X, estimator)
        found = found[_rows_of_entries(X)] if of_entries else found
        gradients = in_order(gradients, found)[:, units]
    else:
        gradients = _gradients(model, X, units, of == "score", estimator, of_entries)
    if is_negated:
        np.negative(gradients, out=gradients)
    if times_input:
        factors = X.data[: len(gradients), np.newaxis] if of_entries else np.asarray(X)
        with np.errstate(over="ignore", invalid="ignore"):  # a warning that says more follows
            gradients *= factors[:, np.newaxis]
    _complain_of_infinite(gradients, X.shape[0], _rows_of_entries(X) if of_entries else None)
    if of_entries:
        results = [_with_data(X, numbers) for numbers in gradients[:, :, 0].T]
        return results[0] if is_single else results
    return gradients[:, 0] if is_single else gradients


def unit_gradients(
    model: Any, X: np.ndarray, units: Sequence[int], of_preactivations: bool
) -> np.ndarray:
    """Compute the gradients of outputs of a fitted network, and warn of those that are not finite.

    Parameters
    ----------
    model : BaseMLP
    X : ndarray of shape (n_rows, n_features)
        It has been checked.
    units : sequence of int
    of_preactivations : bool
        The latter two are as for :func:`fastmlp.engines.devices.input_gradients`.

    Returns
    -------
    ndarray of shape (n_rows, n_units, n_features)
        In the type of the weights.

    Raises
    ------
    ValueError
        When the weights are no network, or when their type cannot hold X.
    """
    gradients = _gradients(model, X, units, of_preactivations, model)
    _complain_of_infinite(gradients, len(X))
    return gradients


def _gradients(
    model: Any,
    X: Matrix,
    units: Sequence[int] | None,
    of_preactivations: bool,
    owner: Any,
    of_entries: bool = False,
) -> np.ndarray:
    """Compute the gradients of outputs, of which nobody has told yet whether they are finite.

    Parameters
    ----------
    model : BaseMLP
    X : ndarray, DeviceMatrix or scipy.sparse matrix of shape (n_rows, n_features)
        It has been checked.
    units, of_preactivations
        As for :func:`fastmlp.engines.devices.input_gradients`.
    owner : BaseMLP
        The estimator for which the network is remembered.
    of_entries : bool, default=False
        Whether only the entries of a sparse X have gradients.

    Returns
    -------
    ndarray of shape (n_rows, n_units, n_features), or (n_entries, n_units, 1)
    """
    coefs, intercepts = list(model.coefs_), list(model.intercepts_)
    network, arrays, _ = prediction.network_of(model, coefs, intercepts, owner)
    X = _as_type(X, network.plan.dtype)
    if of_entries:
        found = devices.entry_gradients(network, arrays, X, units, of_preactivations, model.n_jobs)
        return found[:, : X.indptr[-1]].T[:, :, np.newaxis]
    return devices.input_gradients(
        model.device, network, arrays, X, units, of_preactivations, model.n_jobs
    )


def _rows_of_entries(X: Any) -> np.ndarray:
    """Return the number of the row of each entry of compressed rows."""
    return np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))


def _with_data(X: Any, data: np.ndarray) -> Any:
    """Make a sparse matrix with the entries of another one in compressed rows, but other data."""
    return type(X)((data, X.indices[: data.size].copy(), X.indptr.copy()), shape=X.shape)


def _as_type(X: Any, dtype: np.dtype) -> Any:
    """Convert X to a type; raise ValueError where that cannot hold it."""
    if devices.is_device_array(X):
        narrow = X.astype(dtype)
        if narrow.dtype == X.dtype or narrow.is_finite():
            return narrow
        X = np.asarray(X)
    check_range("X", X, dtype)
    if issparse(X) and X.dtype != dtype:
        # A sparse matrix's own astype sorts the entries of a row and adds up those of one place.
        return type(X)((X.data.astype(dtype), X.indices, X.indptr), shape=X.shape)
    return X.astype(dtype, copy=False)


def in_order(gradients: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Put gradients of quantiles in the order in which the quantiles are predicted.

    Parameters
    ----------
    gradients : ndarray of shape (n_rows, n_levels, n_inputs)
    outputs : ndarray of shape (n_rows, n_levels)
        What the network gives; predictions are these, in increasing order in each row.

    Returns
    -------
    ndarray of shape (n_rows, n_levels, n_inputs)
    """
    order = outputs.argsort(axis=1, kind="stable")
    return np.take_along_axis(gradients, order[:, :, np.newaxis], axis=1)


def check_of(of: str) -> None:
    """Raise ValueError for an unknown value of `of`."""
    if of not in OF:
        raise ValueError(f"of must be 'prediction' or 'score', got {of!r}")


def class_number(classes: np.ndarray, class_: Any) -> int:
    """Return the number of a class among those that a classifier knows.

    Raises
    ------
    InputError
        When it is none of them.
    """
    # A comparison with a list is an array, and one with pandas.NA is neither true nor false.
    found = np.flatnonzero([
        isinstance(same := known == class_, bool | np.bool_) and bool(same) for known in classes
    ])  # fmt: skip
    if not len(found):
        shown = ", ".join(repr(known) for known in classes[:5].tolist())
        more = ", ..." if len(classes) > 5 else ""
        raise InputError(f"class_={class_!r} is none of the model's classes: {shown}{more}")
    return int(found[0])


def output_number(n_outputs: int, output: Any) -> int:
    """Return the number of an output; raise InputError where it is none."""
    if isinstance(output, bool | np.bool_) or not isinstance(output, int | np.integer):
        raise InputError(f"output must be the number of an output, got {output!r}")
    if not 0 <= output < n_outputs:
        raise InputError(f"output={output} is none of the outputs 0 to {n_outputs - 1}")
    return int(output)


def _wanted(model: Any, class_: Any, output: int | None) -> tuple[list[int] | None, bool, bool]:
    """Find which outputs of a network are asked for.

    Returns
    -------
    units : list of int or None
        The numbers of the outputs; None for that of the class that each row predicts.
    is_negated : bool
        Whether the gradient is that of the first of two classes, which has no output.
    is_single : bool
        Whether there is one gradient for each row.

    Raises
    ------
    InputError
        When there is no such class or output, or the model has none to choose from.
    """
    n_outputs = int(model.n_outputs_)
    is_of_classes = isinstance(model, ClassifierMixin) and not _is_multilabel(model)
    if class_ is not None and not is_of_classes:
        kind = (
            "a classifier of several labels"
            if isinstance(model, ClassifierMixin)
            else "a regressor"
        )
        raise InputError(f"class_ chooses among exclusive classes, and this is {kind}; use output")
    if output is not None and is_of_classes:
        raise InputError("output chooses among targets or labels; use class_ for a classifier")
    if not is_of_classes:
        if output is None:
            return list(range(n_outputs)), False, n_outputs == 1
        return [output_number(n_outputs, output)], False, True
    if len(model.classes_) < 2:
        raise InputError("the model knows a single class, so that nothing changes its prediction")
    if class_ is None:
        return None, False, True
    number = class_number(model.classes_, class_)
    return [number if n_outputs > 1 else 0], n_outputs == 1 and number == 0, True


def _is_multilabel(model: Any) -> bool:
    return bool(model._label_binarizer.y_type_.startswith("multilabel"))


def _complain_of_infinite(
    gradients: np.ndarray, n_rows: int, rows: np.ndarray | None = None
) -> None:
    """Warn of gradients that are not finite.

    Parameters
    ----------
    gradients : ndarray of shape (n_points, n_units, n_inputs)
    n_rows : int
    rows : ndarray of shape (n_points,) or None
        The number of the row of each point, in increasing order; None where points are rows.
    """
    # A sum tells without a copy of the array; it may overflow, which is looked into then.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(gradients.sum()):
            return
    bad = np.flatnonzero(~np.isfinite(gradients).all(axis=(1, 2)))
    bad = bad if rows is None else np.unique(rows[bad])
    if bad.size:
        warn_user(
            f"the gradients of {bad.size} of {n_rows} rows are not finite, of row {bad[0]} first; "
            "scale X as for the fit",
            DataWarning,
        )
