"""The flat parameter vector: one contiguous array that holds all weights and biases.

The order is that of scikit-learn's L-BFGS: all weight matrices, each of shape
(fan_in, fan_out) in C order, then all bias vectors.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .plan import Activation, TrainingPlan

# The variance of weights is this number, divided by fan_in, or for glorot by fan_in + fan_out.
_VARIANCES = {"glorot": 2.0, "he": 2.0, "lecun": 1.0}
INITIALISERS = {"sklearn", *(f"{k}_{d}" for k in _VARIANCES for d in ("uniform", "normal"))}


def n_parameters(layer_units: Sequence[int]) -> int:
    """Count the weights and biases of a network."""
    return sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(layer_units))


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


def checked(
    coefs: Sequence[Any], intercepts: Sequence[Any]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return weights and biases, which users may have set, as arrays that a network can use.

    Parameters
    ----------
    coefs, intercepts : sequence of array-like
        For each layer a matrix of shape (fan_in, fan_out) and a vector of shape (fan_out,).

    Returns
    -------
    coefs : list of ndarray of shape (fan_in, fan_out)
    intercepts : list of ndarray of shape (fan_out,)
        All are C-contiguous, and of float32 if each given array has that type, else of float64.
        Those that are so already are not copied.

    Raises
    ------
    ValueError
        When they are no numbers, complex, or of shapes that do not fit each other; the message
        names the layer.
    """
    if len(coefs) != len(intercepts) or not len(coefs):
        raise ValueError(
            f"coefs_ has {len(coefs)} arrays and intercepts_ {len(intercepts)}; each layer needs "
            "one of both"
        )
    named = [*((f"coefs_[{i}]", w) for i, w in enumerate(coefs))]
    named += [(f"intercepts_[{i}]", b) for i, b in enumerate(intercepts)]
    arrays = [_real_array(name, array) for name, array in named]
    weights, biases = arrays[: len(coefs)], arrays[len(coefs) :]
    for i, (matrix, vector) in enumerate(zip(weights, biases, strict=True)):
        if matrix.ndim != 2 or vector.shape != matrix.shape[1:]:
            raise ValueError(
                f"coefs_[{i}] has shape {matrix.shape} and intercepts_[{i}] {vector.shape}; a "
                "layer needs (fan_in, fan_out) and (fan_out,)"
            )
        if i > 0 and matrix.shape[0] != weights[i - 1].shape[1]:
            raise ValueError(
                f"coefs_[{i}] has shape {matrix.shape}, and the layer before it has "
                f"{weights[i - 1].shape[1]} units"
            )
    is_single = all(array.dtype.newbyteorder("=") == np.float32 for array in arrays)
    dtype = np.dtype(np.float32 if is_single else np.float64)
    with np.errstate(over="ignore"):  # a long double may be too large
        arrays = [
            array if _is_ready(array, dtype) else np.require(array, dtype, ["C", "A"])
            for array in arrays
        ]
    return arrays[: len(coefs)], arrays[len(coefs) :]


def _is_ready(array: np.ndarray, dtype: np.dtype) -> bool:
    """Tell whether compiled code can read an array where it lies."""
    return array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned


def _real_array(name: str, array: Any) -> np.ndarray:
    """Return an array of real numbers; raise ValueError, with the array's name, for others."""
    if not isinstance(array, np.memmap):  # which stays the object that it is
        try:
            array = np.asarray(array)
        except ValueError:
            raise ValueError(f"{name} has rows of several lengths") from None
    if array.dtype.kind == "O":
        try:
            array = array.astype(np.float64)
        except (OverflowError, TypeError, ValueError) as error:
            raise ValueError(f"{name} holds no numbers: {error}") from None
    if array.dtype.kind not in "fiub":
        what = "complex" if array.dtype.kind == "c" else f"of type {array.dtype}"
        raise ValueError(f"{name} is {what}; weights and biases must be real numbers")
    return array


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
