"""Input gradients of a model of a table: for each numeric column, by the chain rule."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from ..estimators.input_gradients import (
    check_of,
    class_number,
    in_order,
    output_number,
    unit_gradients,
)
from ..estimators.prediction import outputs
from ..estimators.transaction import whole
from ..exceptions import InputError
from .base import BaseTabular
from .encoders.assembly import make_inputs
from .encoders.slopes import number_gradients
from .frames import read_frame
from .pack.members import Member, Pack
from .pack.tails import LogTarget
from .quantiles import fitted_levels
from .rows import names_of, read_rows
from .several import models_of

# Rows are differentiated in parts, since their inputs and the gradients of these are many.
_ROWS_AT_A_TIME = 4096


def column_gradients(
    model: Any, X: Any, class_: Any, output: int | None, of: str, times_input: bool
) -> pd.DataFrame:
    """Compute input gradients of a TabularClassifier or TabularRegressor.

    Parameters and result are those of :func:`fastmlp.input_gradients`.
    """
    check_of(of)
    if not isinstance(model, BaseTabular):
        raise InputError(
            "input gradients are of an MLPClassifier, an MLPRegressor or a model of a table, not "
            f"{type(model).__name__}; of a pipeline pass the last step, with the inputs it sees"
        )
    model = whole(model)
    check_is_fitted(model)
    if len(models := models_of(model)) > 1:
        raise InputError(
            f"this model has {len(models)} targets, and a model for each; pass one of its models_"
        )
    names = numeric_columns(model)
    if not names:
        raise InputError("the model uses no numeric column, and only these have gradients")
    frame = read_frame(model, X, reset=False)
    numbers, codes = read_rows(model.preprocessor_, frame)
    gradients = number_gradients_of(model, numbers, codes, class_, output, of)[:, : len(names)]
    if times_input:
        gradients = gradients * numbers[:, : len(names)]
    return pd.DataFrame(gradients, index=frame.index, columns=pd.Index(names, tupleize_cols=False))


def numeric_columns(model: Any) -> list[Hashable]:
    """List the numeric columns that a model uses, in the order of a row's numbers."""
    return names_of(model.preprocessor_, "numeric")


def number_gradients_of(
    model: Any,
    numbers: NDArray[np.float64],
    codes: NDArray[np.intp],
    class_: Any = None,
    output: int | None = None,
    of: str = "prediction",
) -> NDArray[np.float64]:
    """Compute the gradients of a model for the numbers of rows that have been read.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
        For a single target.
    numbers, codes : ndarray
        As from :func:`fastmlp.tabular.rows.read_rows`.
    class_, output, of
        As for :func:`fastmlp.input_gradients`.

    Returns
    -------
    ndarray of shape (n_rows, n_numbers), float64

    Raises
    ------
    InputError
        When there is no such class, output or score.
    """
    unit = _unit(model, class_, output, of)
    result = np.empty(numbers.shape)
    for start in range(0, len(numbers), _ROWS_AT_A_TIME):
        rows = slice(start, start + _ROWS_AT_A_TIME)
        inputs = make_inputs(model.preprocessor_, numbers[rows], codes[rows])
        gradients = _of_inputs(model, inputs, unit, of == "score")
        result[rows] = number_gradients(model.preprocessor_, numbers[rows], gradients)
    return result


def _unit(model: Any, class_: Any, output: int | None, of: str) -> int | None:
    """Return the number of the class or output that is asked for; None for the predicted class.

    Raises
    ------
    InputError
        When there is none, or no score.
    """
    is_class = hasattr(model.estimator_, "classes_")
    if of == "score" and (not is_class or isinstance(model.estimator_, Pack)):
        raise InputError(
            "of='score' needs a classifier of a single network, which a parameter of the network, "
            "such as hidden_layer_sizes, trains; use of='prediction'"
        )
    if is_class:
        if output is not None:
            raise InputError("output chooses among quantiles; use class_ for a classifier")
        return None if class_ is None else class_number(model.classes_, class_)
    if class_ is not None:
        raise InputError("class_ is for a classifier, and this is a regressor")
    n_levels = max(1, len(fitted_levels(model)))
    if output is None and n_levels > 1:
        raise InputError(f"the model predicts {n_levels} quantiles; choose the output of one")
    return 0 if output is None else output_number(n_levels, output)


def _of_inputs(
    model: Any, inputs: NDArray[np.float32], unit: int | None, of_preactivations: bool
) -> NDArray[np.float64]:
    """Compute the gradients of a model's prediction for the inputs of its networks."""
    trained = model.estimator_
    if not hasattr(trained, "classes_"):
        scale, n_levels = float(model.target_scale_), len(fitted_levels(model))
        if n_levels < 2:
            return _of_network(trained, inputs, [0], False)[:, 0] * scale
        gradients = _of_network(trained, inputs, range(n_levels), False)
        # A network puts its own quantiles in order, and so does the model after its offsets.
        if not isinstance(trained, Pack):
            gradients = in_order(gradients, outputs(trained, inputs, trained))
        return in_order(gradients, model._in_units(trained.predict(inputs)))[:, unit] * scale
    n_classes = len(model.classes_)
    chosen = _predicted(model, inputs) if unit is None else np.full(len(inputs), unit)
    result = np.empty(inputs.shape)
    if n_classes == 2:
        result[:] = _of_network(trained, inputs, [0], of_preactivations)[:, 0]
        result[chosen == 0] *= -1
        return result
    for k in np.unique(chosen):
        rows = chosen == k
        some = np.ascontiguousarray(inputs[rows])
        result[rows] = _of_network(trained, some, [int(k)], of_preactivations)[:, 0]
    return result


def _predicted(model: Any, inputs: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return the number of the class that a classifier predicts for each row of inputs."""
    probabilities = model.estimator_.predict_proba(inputs)
    threshold = getattr(model, "threshold_", None)
    if threshold is not None:
        return (probabilities[:, 1] > threshold).astype(np.intp)
    found: NDArray[np.intp] = probabilities.argmax(axis=1)
    return found


def _of_network(
    trained: Any, inputs: NDArray[np.float32], units: Sequence[int], of_preactivations: bool
) -> NDArray[np.float64]:
    """Compute gradients of outputs of a network, or of the means over those of a pack.

    Returns
    -------
    ndarray of shape (n_rows, n_units, n_inputs), float64
    """
    if not isinstance(trained, Pack):
        return unit_gradients(trained, inputs, units, of_preactivations).astype(np.float64)
    result = np.zeros((len(inputs), len(units), inputs.shape[1]))
    for member, weight in zip(trained.members, trained.member_weights(), strict=True):
        X = np.ascontiguousarray(inputs[:, member.start : member.stop])
        gradients = unit_gradients(member.network, X, units, False)
        factors = weight * _slopes(member, X, units, trained.bounds)
        result[:, :, member.start : member.stop] += factors[:, :, np.newaxis] * gradients
    return result


def _slopes(
    member: Member,
    X: NDArray[np.float32],
    units: Sequence[int],
    bounds: tuple[float, float] | None,
) -> NDArray[np.float64]:
    """Compute how much a member's prediction changes with the output of its network.

    Returns
    -------
    ndarray of shape (n_rows, n_units), float64
        1 for a member that predicts what its network gives; 0 where the bounds limit it.
    """
    if member.log_target is None and bounds is None:
        return np.ones((len(X), len(units)))
    found = outputs(member.network, X, member.network).astype(np.float64)[:, list(units)]
    slopes = np.ones(found.shape)
    if member.log_target is not None:
        change = LogTarget(*member.log_target)
        slopes = change.slopes(found)
        found = change.change_back(found)
    if bounds is not None:
        slopes = slopes * ((found >= bounds[0]) & (found <= bounds[1]))
    return slopes
