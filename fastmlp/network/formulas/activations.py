"""Activation functions and their derivatives.

Every activation is a function ``a = f(z)`` of the pre-activation ``z``. A function whose name ends
in ``_derivative`` computes the derivative ``da/dz`` from ``a``, so that the backward pass needs no
pre-activations (Rumelhart, Hinton and Williams, 1986). Where ``z`` cannot be recovered from ``a``,
a function whose name ends in ``_slope`` computes the derivative from ``z`` instead.
"""

from math import erf, exp, log, tanh

LEAKY_SLOPE = 0.01
SELU_SCALE = 1.0507009873554805
SELU_SCALE_ALPHA = 1.7580993408473766  # SELU's scale times its alpha
SQRT_HALF = 0.7071067811865476
NORMAL_DENSITY_AT_0 = 0.3989422804014327  # 1 / sqrt(2 pi)


def identity(z):
    """Return z itself."""
    return z


def identity_derivative(a):
    """Return 1."""
    return 1


def logistic(z):
    """Compute 1 / (1 + exp(-z)), without overflow for large negative z."""
    e = exp(-abs(z))
    positive = 1 / (1 + e)
    return positive if z >= 0 else e * positive


def logistic_derivative(a):
    """Compute a (1 - a)."""
    return a * (1 - a)


def hyperbolic_tangent(z):
    """Compute tanh(z)."""
    return tanh(z)


def hyperbolic_tangent_derivative(a):
    """Compute 1 - a^2."""
    return 1 - a * a


def relu(z):
    """Compute max(z, 0); NaN stays NaN."""
    return 0 if z < 0 else z


def relu_derivative(a):
    """Return 1 where the unit is active, else 0; at 0 it is 0, as in scikit-learn."""
    return 0 if a == 0 else 1


def leaky_relu(z):
    """Return z, or 0.01 z where z is negative (Maas, Hannun and Ng, 2013)."""
    return LEAKY_SLOPE * z if z < 0 else z


def leaky_relu_derivative(a):
    """Return 1 where the unit is active, else 0.01."""
    return 1 if a > 0 else LEAKY_SLOPE


def elu(z):
    """Return z, or exp(z) - 1 where z is negative (Clevert, Unterthiner and Hochreiter, 2016)."""
    return exp(z) - 1 if z < 0 else z


def elu_derivative(a):
    """Return 1, or exp(z) = a + 1 where a is negative."""
    return a + 1 if a < 0 else 1


def selu(z):
    """Compute the scaled ELU, whose units keep mean 0 and variance 1 (Klambauer et al., 2017)."""
    e = SELU_SCALE_ALPHA * (exp(z) - 1)
    return e if z < 0 else SELU_SCALE * z


def selu_derivative(a):
    """Return the scale, or scale alpha exp(z) = a + scale alpha where a is not positive."""
    return SELU_SCALE if a > 0 else a + SELU_SCALE_ALPHA


def softplus(z):
    """Compute log(1 + exp(z)), without overflow for large z (Dugas et al., 2001)."""
    positive = z if z > 0 else 0
    return positive + log(1 + exp(-abs(z)))


def softplus_derivative(a):
    """Compute 1 - exp(-a), which is the logistic function of z."""
    return 1 - exp(-a)


def silu(z):
    """Multiply z by the logistic function of z; also called swish (Elfwing et al., 2018)."""
    return z * logistic(z)


def silu_slope(z):
    """Compute s + z s (1 - s), where s is the logistic function of z."""
    s = logistic(z)
    return s + z * s * (1 - s)


def gelu(z):
    """Multiply z by the normal distribution function of z (Hendrycks and Gimpel, 2016)."""
    return z * (1 + erf(SQRT_HALF * z)) / 2


def gelu_slope(z):
    """Compute the normal distribution function of z, plus z times the normal density of z."""
    density = NORMAL_DENSITY_AT_0 * exp(-z * z / 2)
    return (1 + erf(SQRT_HALF * z)) / 2 + z * density


def step(z):
    """Return 1 where z is above 0, else 0, as a threshold unit does; NaN stays NaN."""
    return 1 if z > 0 else 0 if z <= 0 else z


def step_derivative(a):
    """Return 0, which is the derivative wherever there is one."""
    return 0


def formula_of(activation):
    """Return the formula of an activation: a function of z.

    Parameters
    ----------
    activation : fastmlp.network.plan.Activation

    Returns
    -------
    function
    """
    return globals()[_stem(activation)]


def derivative_of(activation):
    """Return the derivative of an activation as a function of its value a.

    Parameters
    ----------
    activation : fastmlp.network.plan.Activation

    Returns
    -------
    function or None
        None where the derivative cannot be computed from a; :func:`slope_of` has it then.
    """
    return globals().get(f"{_stem(activation)}_derivative")


def slope_of(activation):
    """Return the derivative of an activation as a function of the pre-activation z.

    Parameters
    ----------
    activation : fastmlp.network.plan.Activation

    Returns
    -------
    function or None
        None where :func:`derivative_of` has the derivative.
    """
    return globals().get(f"{_stem(activation)}_slope")


def _stem(activation):
    """Return what the names of an activation's functions begin with."""
    name = activation.name.lower()
    # The name ``tanh`` is taken by the function of ``math``.
    return "hyperbolic_tangent" if name == "tanh" else name
