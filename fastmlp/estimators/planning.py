"""The plan of a network and its training, from the parameters of an estimator."""

from collections.abc import Sequence
from math import inf
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..exceptions import warn_user
from ..network.plan import PREDICTION_LOSSES, Activation, Optimizer, TrainingPlan
from ..network.weights import checked
from .targets import Targets

_OPTIMIZERS = {
    "gd": Optimizer.SGD,
    "sgd": Optimizer.SGD,
    "adagrad": Optimizer.ADAGRAD,
    "rmsprop": Optimizer.RMSPROP,
    "adam": Optimizer.ADAM,
    "adamw": Optimizer.ADAM,
    "nadam": Optimizer.NADAM,
}
_DECAY_OF_ADAMW = 0.01


def hidden_units(estimator: Any) -> list[int]:
    """Return the number of units of each hidden layer.

    Raises
    ------
    TypeError, ValueError
        When `hidden_layer_sizes` is anything but positive integers.
    """
    sizes = estimator.hidden_layer_sizes
    is_scalar = isinstance(sizes, np.ndarray) and not sizes.ndim
    sizes = list(sizes) if hasattr(sizes, "__iter__") and not is_scalar else [sizes]
    for size in sizes:
        if not isinstance(size, Integral) or isinstance(size, bool):
            raise TypeError(f"hidden_layer_sizes must be integers, got {sizes}.")
    if any(size <= 0 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return [int(size) for size in sizes]


def check(estimator: Any, n_hidden: int) -> None:
    """Raise ValueError unless a network of `n_hidden` hidden layers can be trained.

    Its activations and dropout must fit the layers, and a gradient must pass the activations.
    """
    chosen = activations(estimator, n_hidden)
    dropouts(estimator, n_hidden)
    for activation in [chosen] if isinstance(chosen, Activation) else chosen:
        if n_hidden and not activation.is_trainable:
            name = activation.name.lower()
            raise ValueError(
                f"activation={name!r} cannot be trained: its derivative is 0, so that no gradient "
                "reaches the weights before it; use 'logistic', which is nearly the same with "
                "large weights, or set the weights with from_weights"
            )


def activations(estimator: Any, n_hidden: int) -> Activation | tuple[Activation, ...]:
    """Return the activation of all hidden layers, or a tuple with one for each.

    Raises
    ------
    ValueError
        When a name is unknown, or there are not as many names as hidden layers.
    """
    given = estimator.activation
    if isinstance(given, str):
        return Activation[given.upper()]
    known = [activation.name.lower() for activation in Activation]
    for name in given:
        if name not in known:
            raise ValueError(f"activation must be of {known}, got {name!r} in {given!r}.")
    _check_one_for_each("activation", given, n_hidden)
    return tuple(Activation[name.upper()] for name in given)


def dropouts(estimator: Any, n_hidden: int) -> tuple[float, ...]:
    """Return the dropout probability of each hidden layer, or () for no dropout.

    Raises
    ------
    ValueError
        When a probability is not in [0, 1), or there are not as many as hidden layers.
    """
    given = estimator.dropout
    if isinstance(given, Real):
        if float(given) > 0 and not n_hidden:
            raise ValueError(f"dropout={given} needs a hidden layer, and there is none")
        given = (given,) * n_hidden
    for probability in given:
        if not (isinstance(probability, Real) and 0 <= float(probability) < 1):
            raise ValueError(f"dropout must be in [0, 1), got {probability!r} in {given!r}.")
    _check_one_for_each("dropout", given, n_hidden)
    return tuple(map(float, given)) if any(given) else ()


def _check_one_for_each(name: str, given: Sequence[Any], n_hidden: int) -> None:
    if len(given) != n_hidden:
        raise ValueError(
            f"{name} has {len(given)} entries, and hidden_layer_sizes {n_hidden}; give one for "
            "each hidden layer, or a single one for all"
        )


def optimizer_constants(estimator: Any) -> dict[str, Any]:
    """Return the optimiser and its constants, as arguments of :class:`TrainingPlan`."""
    solver = estimator.solver
    code = _OPTIMIZERS[solver]
    if solver == "sgd" and estimator.nesterovs_momentum:
        code = Optimizer.NESTEROV
    return {
        "optimizer": int(code),
        "momentum": 0.0 if solver == "gd" else float(estimator.momentum),
        "averages_gradients": solver == "sgd" and estimator.momentum_form == "average",
        "beta_1": float(estimator.beta_1),
        "beta_2": float(estimator.rmsprop_decay if solver == "rmsprop" else estimator.beta_2),
        "epsilon": float(estimator.epsilon),
    }


def objective_plan(
    estimator: Any,
    targets: Targets,
    layer_units: Sequence[int],
    dtype: DTypeLike,
    batch_size: int = 1,
) -> TrainingPlan:
    """Return the plan of an estimator's objective: its loss, penalties and dropout.

    Parameters
    ----------
    estimator : BaseMLP
    targets : Targets
        They have learned the classes of y.
    layer_units : sequence of int
    dtype : numpy.dtype
    batch_size : int

    Returns
    -------
    TrainingPlan
        Its optimiser is ``GRADIENT``, which takes no steps.
    """
    n_hidden = len(layer_units) - 2
    return TrainingPlan(
        layer_units=tuple(layer_units),
        activation=activations(estimator, n_hidden),
        loss=targets.loss,
        optimizer=Optimizer.GRADIENT,
        alpha=float(estimator.alpha),
        batch_size=batch_size,
        dtype=np.dtype(dtype),
        l1=float(estimator.l1),
        dropout=dropouts(estimator, n_hidden),
        loss_parameters=targets.loss_parameters(layer_units[-1]),
        custom_loss=targets.custom_loss,
    )


def prediction_plan(estimator: Any) -> TrainingPlan:
    """Return the plan with which a fitted network predicts; see :func:`plan_of_weights`."""
    return plan_of_weights(estimator, checked(estimator.coefs_, estimator.intercepts_)[0])


def plan_of_weights(estimator: Any, coefs: Sequence[np.ndarray]) -> TrainingPlan:
    """Return the plan with which a fitted network predicts.

    Parameters
    ----------
    estimator : BaseMLP
        It is fitted.
    coefs : sequence of ndarray of shape (fan_in, fan_out)
        Its weights, as :func:`fastmlp.network.weights.checked` returns them.

    Returns
    -------
    TrainingPlan
        Its loss is one that has the network's output activation; predictions need no more.

    Raises
    ------
    ValueError
        When the network has other inputs or outputs than the estimator.
    """
    units = (coefs[0].shape[0], *(w.shape[1] for w in coefs))
    ends = {"n_features_in_": (units[0], 0), "n_outputs_": (units[-1], len(coefs) - 1)}
    for name, (found, layer) in ends.items():
        expected = getattr(estimator, name, found)
        if found != expected:
            raise ValueError(
                f"coefs_[{layer}] has shape {coefs[layer].shape}, and {name} is {expected}"
            )
    return TrainingPlan(
        layer_units=units,
        activation=activations(estimator, len(units) - 2),
        loss=PREDICTION_LOSSES[estimator.out_activation_],
        optimizer=Optimizer.GRADIENT,
        dtype=coefs[0].dtype,
    )


def layer_units(estimator: Any) -> tuple[int, ...]:
    """Return the number of units of every layer of a fitted network, from inputs to outputs."""
    return estimator.coefs_[0].shape[0], *(w.shape[1] for w in estimator.coefs_)


def batch_size(estimator: Any, n_rows: int) -> int:
    """Return the number of rows of a mini-batch; warn, as scikit-learn does, if there are fewer."""
    if estimator.solver == "gd":
        return n_rows
    if estimator.batch_size == "auto":
        return min(200, n_rows)
    if estimator.batch_size > n_rows:
        warn_user(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped"
        )
    return int(min(estimator.batch_size, n_rows))


def step_options(estimator: Any) -> dict[str, Any]:
    """Return what changes a step beside its optimiser, as arguments of :class:`TrainingPlan`."""
    decay = estimator.weight_decay
    if decay is None:
        decay = _DECAY_OF_ADAMW if estimator.solver == "adamw" else 0.0
    return {
        "weight_decay": float(decay),
        "clip_value": _limit(estimator.clip_value),
        "clip_norm": _limit(estimator.clip_norm),
        "max_norm": _limit(estimator.max_norm),
        "monitors_gradient": bool(estimator.monitor),
    }


def _limit(value: float | None) -> float:
    return inf if value is None else float(value)
