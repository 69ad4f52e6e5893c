"""Losses of one output value, as training minimises them.

``y`` is the target and ``p`` the prediction after the output activation. Each
loss is paired with the output activation that makes its derivative with respect
to the pre-activation equal to ``p - y`` (the canonical link; Bishop, *Pattern
Recognition and Machine Learning*, section 4.3.6).
"""

from math import log


def xlogy(x, y):
    """x log(y), and 0 where x is 0."""
    return 0 if x == 0 else x * log(y)


def squared_error(y, p):
    """(p - y)^2 / 2."""
    return (p - y) * (p - y) / 2


def poisson(y, p):
    """Half the Poisson deviance: y log(y / p) - y + p."""
    return xlogy(y, y / p) - y + p


def cross_entropy(y, p, eps):
    """-y log(p), with p clipped to [eps, 1 - eps]."""
    return -xlogy(y, min(max(p, eps), 1 - eps))


def binary_cross_entropy(y, p, eps):
    """-y log(p) - (1 - y) log(1 - p), with p clipped to [eps, 1 - eps]."""
    p = min(max(p, eps), 1 - eps)
    return -xlogy(y, p) - xlogy(1 - y, 1 - p)


def delta(y, p):
    """Derivative of every loss here with respect to the output pre-activation."""
    return p - y
