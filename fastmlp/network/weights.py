"""The flat parameter vector: one contiguous array that holds all weights and biases.

The order is that of scikit-learn's L-BFGS: all weight matrices, each of shape
(fan_in, fan_out) in C order, then all bias vectors.
"""

import os
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .plan import Activation, TrainingPlan

# The variance of weights is this number, divided by fan_in, or for glorot by fan_in + fan_out.
_VARIANCES = {"glorot": 2.0, "he": 2.0, "lecun": 1.0}
INITIALISERS = {"sklearn", *(f"{k}_{d}" for k in _VARIANCES for d in ("uniform", "normal"))}


# Every training holds the parameters, their start and their gradient; most hold more.
_FEWEST_COPIES = 3
# What a container may use at most, for the two versions of control groups.
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def n_parameters(layer_units: Sequence[int]) -> int:
    """Count the weights and biases of a network."""
    return sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(layer_units))


def check_memory(layer_units: Sequence[int], dtype: DTypeLike) -> None:
    """Refuse a network that this machine cannot train.

    Linux promises more memory than there is, and ends a process without a word that takes it.

    Parameters
    ----------
    layer_units : sequence of int
        The units of every layer, inputs and outputs included.
    dtype : numpy.dtype
        The type of the parameters.

    Raises
    ------
    MemoryError
        When the parameters, their start and their gradient are larger than the memory.
    """
    count, memory = n_parameters(layer_units), machine_memory()
    needed = _FEWEST_COPIES * np.dtype(dtype).itemsize * count
    if memory is not None and needed > memory:
        shown = "-".join(map(str, layer_units))
        raise MemoryError(
            f"a network of {shown} units has {count:.3g} weights, whose training needs more than "
            f"{needed / 2**30:.3g} GiB, and this machine has {memory / 2**30:.3g} GiB"
        )


def machine_memory() -> int | None:
    """Return the bytes of memory that a process can use here, or None where that is unknown."""
    try:
        found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (AttributeError, OSError, ValueError):  # not on this system
        return None
    for path in map(Path, _LIMITS):
        try:
            found.append(int(path.read_text()))
        except (OSError, ValueError):  # there is none, or it is "max"
            continue
    return min(size for size in found if size > 0)


def views(
    theta: np.ndarray, layer_units: Sequence[int]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the weights and biases of every layer as views of the flat vector.

    Parameters
    ----------
    theta : ndarray of shape (n_parameters,)
    layer_units : sequence of int

    Returns
    -------
    coefs : list of ndarray of shape (fan_in, fan_out)
    intercepts : list of ndarray of shape (fan_out,)
    """
    coefs: list[np.ndarray] = []
    intercepts: list[np.ndarray] = []
    start = 0
    for fan_in, fan_out in pairwise(layer_units):
        coefs.append(theta[start : start + fan_in * fan_out].reshape(fan_in, fan_out))
        start += fan_in * fan_out
    for fan_out in layer_units[1:]:
        intercepts.append(theta[start : start + fan_out])
        start += fan_out
    return coefs, intercepts


def penalty(theta: np.ndarray, plan: TrainingPlan, total_weight: float) -> float:
    """Compute the L2 and the L1 penalty of a network's weights.

    They are alpha / (2 S) times the sum of squared weights, and l1 / S times the sum of absolute
    weights, where S is the total weight of the rows.

    Parameters
    ----------
    theta : ndarray of shape (n_parameters,)
    plan : TrainingPlan
    total_weight : float

    Returns
    -------
    float
    """
    coefs = views(theta, plan.layer_units)[0]
    squares, absolutes = (sum(np.sum(f(w)) for w in coefs) for f in (np.square, np.abs))
    return (0.5 * plan.alpha * squares + plan.l1 * absolutes) / total_weight


def attributes(theta: np.ndarray, layer_units: Sequence[int]) -> dict[str, list[Any]]:
    """Return the fitted attributes with which an estimator predicts by copies of parameters."""
    coefs, intercepts = views(theta.copy(), layer_units)
    return {"coefs_": coefs, "intercepts_": intercepts}


def check_parameters(theta: np.ndarray, X: Any, layer_units: Sequence[int]) -> None:
    """Raise ValueError unless the parameters and the columns of X fit a network."""
    if X.shape[1] != layer_units[0] or theta.size != n_parameters(layer_units):
        raise ValueError(f"X {X.shape} and {theta.size} parameters do not fit units {layer_units}")


def flatten(
    coefs: Iterable[np.ndarray], intercepts: Iterable[np.ndarray], dtype: DTypeLike
) -> np.ndarray:
    """Copy weights and biases to a flat vector; see :func:`views` for the shapes."""
    return np.concatenate([np.ravel(p) for p in (*coefs, *intercepts)]).astype(dtype)


def initialise(
    layer_units: Sequence[int],
    activation: Activation | tuple[Activation, ...],
    random_state: np.random.RandomState,
    dtype: DTypeLike,
    init: str = "sklearn",
) -> np.ndarray:
    """Draw initial weights and biases.

    'sklearn' is Glorot and Bengio's (2010) uniform initialisation as scikit-learn draws it: the
    weights and biases of a layer are uniform on [-b, b] with b = sqrt(f / (fan_in + fan_out)),
    where f is 2 for the logistic activation and 6 for all others. The output layer counts as one
    with the activation of the last hidden layer.

    The other initialisations set biases to zero. Their weights have mean zero, and variance
    2 / (fan_in + fan_out) for glorot (Glorot and Bengio, 2010), 2 / fan_in for he (He et al.,
    2015) or 1 / fan_in for lecun (LeCun et al., 1998). The distribution is normal, or uniform on
    [-b, b] with b = sqrt(3 variance).

    Parameters
    ----------
    layer_units : sequence of int
    activation : Activation or tuple of Activation
        The activation of all hidden layers, or a tuple with one for each.
    random_state : numpy.random.RandomState
        It makes one draw for each weight, and for 'sklearn' also one for each bias.
    dtype : numpy.dtype
        Numbers are drawn in float64, then rounded to this type.
    init : str
        One of ``INITIALISERS``.

    Returns
    -------
    theta : ndarray of shape (n_parameters,)
    """
    theta = np.zeros(n_parameters(layer_units), dtype=dtype)
    n_layers = len(layer_units) - 1
    of_layers = activation if isinstance(activation, tuple) else (activation,) * n_layers
    of_layers = (*of_layers, *of_layers[-1:])[:n_layers] or (Activation.IDENTITY,)
    for weights, biases, of_layer in zip(*views(theta, layer_units), of_layers, strict=True):
        if init == "sklearn":
            factor = 2.0 if of_layer == Activation.LOGISTIC else 6.0
            bound = np.sqrt(factor / sum(weights.shape))
            weights[...] = random_state.uniform(-bound, bound, weights.shape)
            biases[...] = random_state.uniform(-bound, bound, biases.shape)
            continue
        kind, distribution = init.split("_")
        fan = sum(weights.shape) if kind == "glorot" else weights.shape[0]
        variance = _VARIANCES[kind] / fan
        if distribution == "normal":
            weights[...] = random_state.normal(0.0, np.sqrt(variance), weights.shape)
        else:
            bound = np.sqrt(3 * variance)
            weights[...] = random_state.uniform(-bound, bound, weights.shape)
    return theta
