"""Activation functions, and their derivatives.

With ``a = f(z)`` the derivative is written as a function of ``a``, so that the
backward pass needs no pre-activations (Rumelhart, Hinton and Williams, 1986). Where ``a``
does not tell ``z``, a ``_slope`` is written as a function of ``z``.
"""

from math import erf, exp, log, tanh

LEAKY_SLOPE = 0.01
SELU_SCALE = 1.0507009873554805
SELU_SCALE_ALPHA = 1.7580993408473766  # the scale times alpha
SQRT_HALF = 0.7071067811865476
NORMAL_DENSITY_AT_0 = 0.3989422804014327  # 1 / sqrt(2 pi)


def identity(z):
    """Z."""
    return z


def identity_derivative(a):
    """1."""
    return 1


def logistic(z):
    """1 / (1 + exp(-z)), without overflow for large negative z."""
    e = exp(-abs(z))
    positive = 1 / (1 + e)
    return positive if z >= 0 else e * positive


def logistic_derivative(a):
    """A (1 - a)."""
    return a * (1 - a)


def hyperbolic_tangent(z):
    """tanh(z)."""
    return tanh(z)


def hyperbolic_tangent_derivative(a):
    """1 - a^2."""
    return 1 - a * a


def relu(z):
    """max(z, 0); not-a-number passes through."""
    return 0 if z < 0 else z


def relu_derivative(a):
    """1 where the unit is active, else 0 (also at 0, as scikit-learn has it)."""
    return 0 if a == 0 else 1


def leaky_relu(z):
    """z, and 0.01 z where z is negative (Maas, Hannun and Ng, 2013)."""
    return LEAKY_SLOPE * z if z < 0 else z


def leaky_relu_derivative(a):
    """1 where the unit is active, else 0.01."""
    return 1 if a > 0 else LEAKY_SLOPE


def elu(z):
    """z, and exp(z) - 1 where z is negative (Clevert, Unterthiner and Hochreiter, 2016)."""
    return exp(z) - 1 if z < 0 else z


def elu_derivative(a):
    """1, and exp(z) = a + 1 where a is negative."""
    return a + 1 if a < 0 else 1


def selu(z):
    """The ELU whose units keep mean 0 and variance 1 (Klambauer et al., 2017)."""
    e = SELU_SCALE_ALPHA * (exp(z) - 1)
    return e if z < 0 else SELU_SCALE * z


def selu_derivative(a):
    """The scale, and scale alpha exp(z) = a + scale alpha where a is not positive."""
    return SELU_SCALE if a > 0 else a + SELU_SCALE_ALPHA


def softplus(z):
    """log(1 + exp(z)), without overflow for large z (Dugas et al., 2001)."""
    positive = z if z > 0 else 0
    return positive + log(1 + exp(-abs(z)))


def softplus_derivative(a):
    """1 - exp(-a), which is the logistic function of z."""
    return 1 - exp(-a)


def silu(z):
    """Z times the logistic function of z; also called swish (Elfwing et al., 2018)."""
    return z * logistic(z)


def silu_slope(z):
    """S + z s (1 - s), with s the logistic function of z."""
    s = logistic(z)
    return s + z * s * (1 - s)


def gelu(z):
    """Z times the normal distribution function of z (Hendrycks and Gimpel, 2016)."""
    return z * (1 + erf(SQRT_HALF * z)) / 2


def gelu_slope(z):
    """The distribution function plus z times the density."""
    density = NORMAL_DENSITY_AT_0 * exp(-z * z / 2)
    return (1 + erf(SQRT_HALF * z)) / 2 + z * density


def formula_of(activation):
    """The formula of an activation, a function of z.

    Parameters
    ----------
    activation : fastmlp.network.plan.Activation

    Returns
    -------
    function
    """
    return globals()[_stem(activation)]


def derivative_of(activation):
    """Its derivative as a function of the activation a; None where a does not tell it."""
    return globals().get(f"{_stem(activation)}_derivative")


def slope_of(activation):
    """Its derivative as a function of z; None where :func:`derivative_of` serves."""
    return globals().get(f"{_stem(activation)}_slope")


def _stem(activation):
    """What the names of an activation's functions begin with; ``tanh`` is that of ``math``."""
    name = activation.name.lower()
    return "hyperbolic_tangent" if name == "tanh" else name
