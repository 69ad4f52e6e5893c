"""The flat parameter vector: one contiguous array, seen as weights and biases.

The order is that of scikit-learn's L-BFGS: all weight matrices, each of shape
(fan_in, fan_out) in C order, then all bias vectors.
"""

from itertools import pairwise

import numpy as np

from .plan import Activation

INITIALISERS = {
    "sklearn", "glorot_uniform", "glorot_normal", "he_uniform", "he_normal",
    "lecun_uniform", "lecun_normal",
}  # fmt: skip


def n_parameters(layer_units):
    """Number of weights and biases of a network."""
    return sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(layer_units))


def views(theta, layer_units):
    """Weights and biases of every layer as views of the flat vector.

    Parameters
    ----------
    theta : ndarray of shape (n_parameters,)
    layer_units : sequence of int

    Returns
    -------
    coefs, intercepts : lists of ndarray, of shapes (fan_in, fan_out) and (fan_out,)
    """
    coefs, intercepts, start = [], [], 0
    for fan_in, fan_out in pairwise(layer_units):
        coefs.append(theta[start : start + fan_in * fan_out].reshape(fan_in, fan_out))
        start += fan_in * fan_out
    for fan_out in layer_units[1:]:
        intercepts.append(theta[start : start + fan_out])
        start += fan_out
    return coefs, intercepts


def penalty(theta, plan, total_weight):
    """alpha / (2 S) times the sum of squared weights, and l1 / S times that of absolute ones.

    S is the total weight of the rows.
    """
    coefs = views(theta, plan.layer_units)[0]
    squares, absolutes = (sum(np.sum(f(w)) for w in coefs) for f in (np.square, np.abs))
    return (0.5 * plan.alpha * squares + plan.l1 * absolutes) / total_weight


def attributes(theta, layer_units):
    """The attributes with which an estimator predicts by these parameters, which are copied."""
    coefs, intercepts = views(theta.copy(), layer_units)
    return {"coefs_": coefs, "intercepts_": intercepts}


def check_parameters(theta, X, layer_units):
    """Raise ValueError unless parameters and the columns of X fit a network."""
    if X.shape[1] != layer_units[0] or theta.size != n_parameters(layer_units):
        raise ValueError(f"X {X.shape} and {theta.size} parameters do not fit units {layer_units}")


def flatten(coefs, intercepts, dtype):
    """The flat vector of the given weights and biases, always a copy."""
    return np.concatenate([np.ravel(p) for p in (*coefs, *intercepts)]).astype(dtype)


def initialise(layer_units, activation, random_state, dtype):
    """Glorot and Bengio's (2010) uniform initialisation, as scikit-learn draws it.

    Weights and biases of a layer are uniform on [-b, b] with b = sqrt(f / (fan_in + fan_out)),
    f = 2 for the logistic activation and 6 for all others. The activation of the last hidden
    layer decides for the output layer too.

    Parameters
    ----------
    layer_units : sequence of int
    activation : Activation or tuple of Activation
        Of all hidden layers, or of each.
    random_state : numpy.random.RandomState
        Advanced by one draw for each parameter.
    dtype : numpy.dtype
        Numbers are drawn in float64, then rounded to this type.

    Returns
    -------
    theta : ndarray of shape (n_parameters,)
    """
    theta = np.empty(n_parameters(layer_units), dtype=dtype)
    n_layers = len(layer_units) - 1
    of_layers = activation if isinstance(activation, tuple) else (activation,) * n_layers
    of_layers = (*of_layers, *of_layers[-1:])[:n_layers] or (Activation.IDENTITY,)
    for weights, biases, of_layer in zip(*views(theta, layer_units), of_layers, strict=True):
        factor = 2.0 if of_layer == Activation.LOGISTIC else 6.0
        bound = np.sqrt(factor / sum(weights.shape))
        weights[...] = random_state.uniform(-bound, bound, weights.shape)
        biases[...] = random_state.uniform(-bound, bound, biases.shape)
    return theta
