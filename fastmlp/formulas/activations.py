"""Activation functions, and their derivatives in terms of the activation.

With ``a = f(z)`` the derivative is written as a function of ``a``, so that the
backward pass needs no pre-activations (Rumelhart, Hinton and Williams, 1986).
"""

from math import exp, tanh


def logistic(z):
    """1 / (1 + exp(-z)), without overflow for large negative z."""
    e = exp(-abs(z))
    positive = 1 / (1 + e)
    return positive if z >= 0 else e * positive


def logistic_derivative(a):
    """a (1 - a)."""
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
