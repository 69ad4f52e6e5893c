"""From an estimator's parameters to the plan of its network and training."""

from math import inf
from numbers import Integral, Real

import numpy as np

from ..network.plan import Activation, Optimizer, TrainingPlan

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


def hidden_units(estimator):
    """Units of each hidden layer, as a list of int.

    Raises
    ------
    TypeError, ValueError
        For anything but positive integers.
    """
    sizes = estimator.hidden_layer_sizes
    sizes = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
    for size in sizes:
        if not isinstance(size, Integral):
            raise TypeError(f"hidden_layer_sizes must be integers, got {sizes}.")
    if any(size <= 0 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return [int(size) for size in sizes]


def check(estimator, n_hidden):
    """Raise ValueError for parameters that make no plan, before any data are looked at."""
    activations(estimator, n_hidden)
    dropouts(estimator, n_hidden)
    estimator._loss_parameters(1)
    _custom_loss(estimator)


def _custom_loss(estimator):
    """The functions of a custom loss, others whenever the values that they use have changed."""
    functions = estimator._custom_loss()
    if functions is None:
        return None
    from ..engines.cpu.custom_loss import compile_custom  # late: it imports numba

    return compile_custom(functions).functions


def activations(estimator, n_hidden):
    """The activation of all hidden layers, or a tuple of one for each.

    Raises
    ------
    ValueError
        For unknown names, and for another number of them than of hidden layers.
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


def dropouts(estimator, n_hidden):
    """The dropout probability of each hidden layer, as a tuple; () is none.

    Raises
    ------
    ValueError
        For probabilities outside [0, 1), and for another number of them than of hidden layers.
    """
    given = estimator.dropout
    if isinstance(given, Real):
        if given > 0 and not n_hidden:
            raise ValueError(f"dropout={given} needs a hidden layer, and there is none")
        given = (given,) * n_hidden
    for probability in given:
        if not (isinstance(probability, Real) and 0 <= probability < 1):
            raise ValueError(f"dropout must be in [0, 1), got {probability!r} in {given!r}.")
    _check_one_for_each("dropout", given, n_hidden)
    return tuple(map(float, given)) if any(given) else ()


def _check_one_for_each(name, given, n_hidden):
    if len(given) != n_hidden:
        raise ValueError(
            f"{name} has {len(given)} entries, and hidden_layer_sizes {n_hidden}; give one for "
            "each hidden layer, or a single one for all"
        )


def optimizer_constants(estimator):
    """The optimiser and its constants, as arguments of a plan."""
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


def objective_plan(estimator, layer_units, dtype, batch_size=1):
    """The plan of an estimator's objective alone: loss, penalties and dropout; no steps.

    Parameters
    ----------
    estimator : BaseMLP
        Its targets are known.
    layer_units : sequence of int
    dtype : numpy.dtype
    batch_size : int

    Returns
    -------
    TrainingPlan
        Its optimiser is ``GRADIENT``.
    """
    n_hidden = len(layer_units) - 2
    return TrainingPlan(
        layer_units=tuple(layer_units),
        activation=activations(estimator, n_hidden),
        loss=estimator._loss(),
        optimizer=Optimizer.GRADIENT,
        alpha=float(estimator.alpha),
        batch_size=batch_size,
        dtype=np.dtype(dtype),
        l1=float(estimator.l1),
        dropout=dropouts(estimator, n_hidden),
        loss_parameters=estimator._loss_parameters(layer_units[-1]),
        custom_loss=_custom_loss(estimator),
    )


def step_options(estimator):
    """What makes a step other than its gradient, as arguments of a plan."""
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


def _limit(value):
    return inf if value is None else float(value)
