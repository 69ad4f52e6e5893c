"""Losses of one output value, as training minimises them, and their derivatives.

``y`` is the target, and ``p`` is the prediction after the output activation. A function whose name
ends in ``_delta`` computes the derivative of the loss with respect to the output's pre-activation.
For the squared error, the Poisson deviance and the cross-entropies this derivative is ``p - y``,
because their output activations are the canonical links (Bishop, *Pattern Recognition and Machine
Learning*, section 4.3.6).
"""

from math import log


def within(x, low, high):
    """Limit x to [low, high]; NaN stays NaN, which a GPU's minimum and maximum would drop."""
    x = low if x < low else x
    return high if x > high else x


def xlogy(x, y):
    """Compute x log(y), which is 0 where x is 0."""
    return 0 if x == 0 else x * log(y)


def squared_error(y, p):
    """Compute (p - y)^2 / 2."""
    return (p - y) * (p - y) / 2


def poisson(y, p):
    """Compute half the Poisson deviance, y log(y / p) - y + p."""
    return xlogy(y, y / p) - y + p


def cross_entropy(y, p, eps):
    """Compute -y log(p), with p clipped to [eps, 1 - eps]."""
    return -xlogy(y, within(p, eps, 1 - eps))


def binary_cross_entropy(y, p, eps):
    """Compute -y log(p) - (1 - y) log(1 - p), with p clipped to [eps, 1 - eps]."""
    p = within(p, eps, 1 - eps)
    return -xlogy(y, p) - xlogy(1 - y, 1 - p)


def delta(y, p):
    """Compute the derivative of the losses above with respect to the output's pre-activation."""
    return p - y


def absolute_error(y, p):
    """Compute abs(p - y)."""
    return abs(p - y)


def absolute_error_delta(y, p):
    """Return the sign of p - y."""
    # ``p - p`` is 0, or NaN where p is NaN.
    downward = -1 if p < y else p - p
    return 1 if p > y else downward


def huber(y, p, limit):
    """Compute the Huber loss of the error e = abs(p - y) (Huber, 1964).

    It is e^2 / 2 for errors up to `limit`, and limit (e - limit / 2) for larger ones.
    """
    e = abs(p - y)
    return e * e / 2 if e <= limit else limit * (e - limit / 2)


def huber_delta(y, p, limit):
    """Clip the error p - y to [-limit, limit]."""
    return within(p - y, -limit, limit)


def quantile(y, p, level):
    """Compute the pinball loss of a quantile (Koenker and Bassett, 1978).

    It is level (y - p) where y is above the prediction, and (1 - level) (p - y) where it is below.
    """
    return level * (y - p) if y >= p else (1 - level) * (p - y)


def quantile_delta(y, p, level):
    """Return -level where y is above the prediction, 1 - level where it is below, else 0."""
    below = 1 - level if p > y else p - p
    return -level if p < y else below


def margin(own, other, rho):
    """Compute the margin loss max(0, 1 - (own - other) / rho).

    `own` is the probability of the true class, and `other` the largest one among the other
    classes. This is the margin loss of Mohri, Rostamizadeh and Talwalkar (2018), section 5.4,
    without its upper limit, like a hinge.
    """
    gap = 1 - (own - other) / rho
    return 0 if gap < 0 else gap


def margin_slope(own, other, rho):
    """Compute the derivative of the margin loss with respect to `other`.

    The derivative with respect to `own` is its negative.
    """
    # ``rho - rho`` is 0 in the type of rho.
    return 1 / rho if own - other < rho else rho - rho


def binary_margin(y, p, rho):
    """Compute the margin loss of two classes, whose probabilities are p and 1 - p."""
    own = p if y > 0 else 1 - p
    return margin(own, 1 - own, rho)


def binary_margin_delta(y, p, rho):
    """Compute the derivative of the binary margin loss for the output's pre-activation.

    It is twice the slope, since the probabilities of both classes change, times p (1 - p), which
    is the derivative of the logistic function.
    """
    own = p if y > 0 else 1 - p
    slope = 2 * margin_slope(own, 1 - own, rho) * p * (1 - p)
    return -slope if y > 0 else slope


def softmax_delta(p, slope, mean_slope):
    """Compute the derivative for a softmax's pre-activation, p (slope - mean_slope).

    `slope` is the derivative of the loss for the probability p, and `mean_slope` the sum of
    p slope over all classes.
    """
    return p * (slope - mean_slope)


def value_of(loss):
    """Return the formula of a loss that is a sum over outputs.

    Parameters
    ----------
    loss : fastmlp.network.plan.Loss
        Any but ``CUSTOM``, which has no formula here, and ``MARGIN``, which is no such sum.

    Returns
    -------
    function
        It takes ``(y, p)``, or ``(y, p, parameter)`` where the loss has a parameter.
    """
    return globals()[loss.name.lower()]


def delta_of(loss):
    """Return the derivative of a loss with respect to the output's pre-activation.

    Parameters
    ----------
    loss : fastmlp.network.plan.Loss
        As for :func:`value_of`.

    Returns
    -------
    function
        :func:`delta`, which takes ``(y, p)``, or the loss's own function, which takes the
        loss's parameter too if it has one.
    """
    return globals().get(f"{loss.name.lower()}_delta", delta)
