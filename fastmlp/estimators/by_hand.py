"""Networks whose weights are given rather than learned."""

import reprlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..exceptions import InputError
from ..network.plan import OUTPUT_ACTIVATIONS
from ..network.weights import checked
from . import planning, records
from ._sklearn import validate_parameters


def set_network(
    estimator: Any,
    coefs: Sequence[Any],
    intercepts: Sequence[Any],
    targets_for: Callable[[int], np.ndarray],
) -> None:
    """Give an estimator the weights and biases of a network, as if they had been learned.

    Parameters
    ----------
    estimator : BaseMLP
        It is new; its `hidden_layer_sizes` are set.
    coefs, intercepts : sequence of array-like
        For each layer a matrix of shape (fan_in, fan_out) and a vector of shape (fan_out,). They
        are copied.
    targets_for : callable
        It returns targets, such as every class once, for a number of outputs.

    Raises
    ------
    InputError
        When the weights are no sequences, not finite, or have other outputs than the targets need.
    ValueError
        When the weights do not fit each other, or a parameter has a value that it may not have.
    """
    weights, biases = checked(_listed("coefs", coefs), _listed("intercepts", intercepts))
    for name, arrays in (("coefs", weights), ("intercepts", biases)):
        for i, array in enumerate(arrays):
            if not array.size:
                raise InputError(f"{name}[{i}] has the shape {array.shape}, so that it is empty")
            if not np.isfinite(array).all():
                raise InputError(f"{name}[{i}] has numbers that are not finite; set them anew")
    units = (weights[0].shape[0], *(w.shape[1] for w in weights))
    estimator.hidden_layer_sizes = tuple(units[1:-1])
    validate_parameters(estimator)
    planning.activations(estimator, len(units) - 2)
    planning.dropouts(estimator, len(units) - 2)
    targets = estimator._targets()
    y = targets_for(units[-1])
    targets = targets.learned_from(y)
    n_outputs = targets.encode(y).shape[1]
    if n_outputs != units[-1]:
        raise InputError(
            f"coefs[{len(weights) - 1}] has {units[-1]} outputs, and these targets need {n_outputs}"
        )
    records.begin(estimator)
    vars(estimator).update(
        targets.attributes(),
        coefs_=[w.copy() for w in weights],
        intercepts_=[b.copy() for b in biases],
        n_features_in_=units[0],
        n_outputs_=n_outputs,
        n_layers_=len(units),
        n_iter_=0,
        out_activation_=OUTPUT_ACTIVATIONS[targets.loss],
    )


def checked_classes(classes: Any) -> np.ndarray:
    """Return the labels of the outputs of a network.

    Raises
    ------
    InputError
        When they are not at least two, of one dimension, in increasing order.
    """
    try:
        found = np.asarray(classes)
        is_sorted = found.ndim == 1 and len(found) > 1 and np.array_equal(np.unique(found), found)
    except (TypeError, ValueError):  # labels that cannot be compared, or lists of several lengths
        is_sorted = False
    if not is_sorted:
        raise InputError(
            f"classes must be two or more labels in increasing order, got {reprlib.repr(classes)}"
        )
    return found


def _listed(name: str, arrays: Any) -> list[Any]:
    """Return the arrays of the layers as a list, which an iterator can be passed for, too."""
    try:
        return list(arrays)
    except TypeError:
        raise InputError(
            f"{name} must be a sequence with an array for each layer, got {reprlib.repr(arrays)}"
        ) from None
