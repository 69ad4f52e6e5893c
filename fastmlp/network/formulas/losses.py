"""Losses of one output value, as training minimises them, and their derivatives.

``y`` is the target and ``p`` the prediction after the output activation. A delta is the
derivative with respect to the pre-activation of the output. For squared errors, the Poisson
deviance and the cross-entropies the output activation makes it ``p - y`` (the canonical
link; Bishop, *Pattern Recognition and Machine Learning*, section 4.3.6).
"""

from math import log


def within(x, low, high):
    """X between two limits; not-a-number stays, as it does not in a GPU's minimum and maximum."""
    x = low if x < low else x
    return high if x > high else x


def xlogy(x, y):
    """X log(y), and 0 where x is 0."""
    return 0 if x == 0 else x * log(y)


def squared_error(y, p):
    """(p - y)^2 / 2."""
    return (p - y) * (p - y) / 2


def poisson(y, p):
    """Half the Poisson deviance: y log(y / p) - y + p."""
    return xlogy(y, y / p) - y + p


def cross_entropy(y, p, eps):
    """-y log(p), with p clipped to [eps, 1 - eps]."""
    return -xlogy(y, within(p, eps, 1 - eps))


def binary_cross_entropy(y, p, eps):
    """-y log(p) - (1 - y) log(1 - p), with p clipped to [eps, 1 - eps]."""
    p = within(p, eps, 1 - eps)
    return -xlogy(y, p) - xlogy(1 - y, 1 - p)


def delta(y, p):
    """Derivative of the losses above with respect to the output pre-activation."""
    return p - y


def absolute_error(y, p):
    """abs(p - y)."""
    return abs(p - y)


def absolute_error_delta(y, p):
    """The sign of p - y."""
    downward = -1 if p < y else p - p
    return 1 if p > y else downward


def huber(y, p, limit):
    """e^2 / 2 for an error e up to `limit`, then limit (abs(e) - limit / 2) (Huber, 1964)."""
    e = abs(p - y)
    return e * e / 2 if e <= limit else limit * (e - limit / 2)


def huber_delta(y, p, limit):
    """The error, clipped to [-limit, limit]."""
    return within(p - y, -limit, limit)


def quantile(y, p, level):
    """Level (y - p) above the prediction, (1 - level) (p - y) below (Koenker and Bassett, 1978)."""
    return level * (y - p) if y >= p else (1 - level) * (p - y)


def quantile_delta(y, p, level):
    """-level above the prediction, 1 - level below, 0 at it."""
    below = 1 - level if p > y else p - p
    return -level if p < y else below


def margin(own, other, rho):
    """max(0, 1 - (own - other) / rho), of the probabilities of the true and the best other
    class; the margin loss of Mohri, Rostamizadeh and Talwalkar (2018), section 5.4, as a hinge.
    """
    gap = 1 - (own - other) / rho
    return 0 if gap < 0 else gap


def margin_slope(own, other, rho):
    """Derivative of the margin loss with respect to `other`; that for `own` is its negative."""
    return 1 / rho if own - other < rho else rho - rho


def binary_margin(y, p, rho):
    """The margin loss of the probability p, and 1 - p for the other class."""
    own = p if y > 0 else 1 - p
    return margin(own, 1 - own, rho)


def binary_margin_delta(y, p, rho):
    """Twice the slope, since both probabilities move, times p (1 - p)."""
    own = p if y > 0 else 1 - p
    slope = 2 * margin_slope(own, 1 - own, rho) * p * (1 - p)
    return -slope if y > 0 else slope


def softmax_delta(p, slope, mean_slope):
    """From derivatives for probabilities to pre-activations: p (slope - sum of p slope)."""
    return p * (slope - mean_slope)


def value_of(loss):
    """The formula of a loss that is a sum over outputs: ``(y, p)``, or ``(y, p, parameter)``.

    Parameters
    ----------
    loss : fastmlp.network.plan.Loss
        Any but ``CUSTOM`` and ``MARGIN``, which is no such sum.

    Returns
    -------
    function
    """
    return globals()[loss.name.lower()]


def delta_of(loss):
    """The derivative of such a loss with respect to the output pre-activation.

    It takes ``(y, p)``, and the parameter where there is a function of the loss's own.
    """
    return globals().get(f"{loss.name.lower()}_delta", delta)
