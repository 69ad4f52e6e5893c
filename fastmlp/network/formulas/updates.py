"""The steps of the optimisers, for one parameter.

``g`` is the gradient of the mini-batch's mean loss. The step of an optimiser is a function that
takes ``(value, first, second, g, scalars)`` and returns the new ``(value, first, second)``. `value`
is the parameter; `first` and `second` are the two numbers that an optimiser may keep for it between
steps, such as a velocity or moments. A step returns the numbers that it does not use unchanged.
"""

from math import sqrt
from typing import NamedTuple


class StepScalars(NamedTuple):
    """The constants of a step, which are the same for all parameters."""

    learning_rate: float
    """The learning rate; for Adam and NAdam it includes their bias corrections."""
    momentum: float
    beta_1: float
    one_minus_beta_1: float
    beta_2: float
    """For RMSProp this is its decay."""
    one_minus_beta_2: float
    epsilon: float
    gradient_share: float
    """The result of :func:`nadam_gradient_share`."""


def gradient(batch_sum, weight, alpha, inverse_batch_weight):
    """Compute the mean gradient with the L2 penalty, (batch_sum + alpha weight) / S.

    S is the total sample weight of the batch, whose inverse is given.
    """
    return (batch_sum + alpha * weight) * inverse_batch_weight


def l1_gradient(weight, l1, inverse_batch_weight):
    """Compute a subgradient of the L1 penalty l1 / S abs(weight), which is 0 at 0."""
    slope = l1 * inverse_batch_weight
    upward = slope if weight > 0 else slope - slope
    return -slope if weight < 0 else upward


def clipped(g, limit):
    """Clip g to [-limit, limit]; NaN stays NaN."""
    g = limit if g > limit else g
    return -limit if g < -limit else g


def velocity(v, g, learning_rate, momentum):
    """Compute momentum v - learning_rate g, the velocity of classical momentum (Polyak, 1964)."""
    return momentum * v - learning_rate * g


def first_moment(m, g, beta_1, one_minus_beta_1):
    """Compute beta_1 m + (1 - beta_1) g, the running mean of the gradient."""
    return beta_1 * m + one_minus_beta_1 * g


def second_moment(v, g, beta_2, one_minus_beta_2):
    """Compute beta_2 v + (1 - beta_2) g^2, the running mean of the squared gradient."""
    return beta_2 * v + one_minus_beta_2 * (g * g)


def sum_of_squares(v, g):
    """Compute v + g^2, the sum of squared gradients that AdaGrad keeps."""
    return v + g * g


def scaled_step(g, v, learning_rate, epsilon):
    """Compute -learning_rate g / (sqrt(v) + epsilon).

    This is the step of AdaGrad (Duchi, Hazan and Singer, 2011) and RMSProp (Tieleman and Hinton,
    2012). With the first moment as g it is Adam's step, in the efficient form at the end of
    section 2 of Kingma and Ba (2015), where the learning rate includes the bias corrections.
    """
    return -learning_rate * g / (sqrt(v) + epsilon)


def adam_learning_rate(learning_rate, beta_1, beta_2, t):
    """Compute learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^t) for step t = 1, 2, ...

    The square root is written as a power, so that t may also be a numpy array.
    """
    return learning_rate * (1 - beta_2**t) ** 0.5 / (1 - beta_1**t)


def nadam_learning_rate(learning_rate, beta_1, beta_2, t):
    """Compute learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^(t+1)) for step t = 1, 2, ...

    The square root is written as a power, so that t may also be a numpy array.
    """
    return learning_rate * (1 - beta_2**t) ** 0.5 / (1 - beta_1 ** (t + 1))


def nadam_mixture(m, g, beta_1, gradient_share):
    """Compute beta_1 m + gradient_share g, by which NAdam replaces Adam's first moment.

    It is without the bias correction, which is part of the learning rate (Dozat, 2016).
    """
    return beta_1 * m + gradient_share * g


def nadam_gradient_share(beta_1, t):
    """Compute (1 - beta_1) (1 - beta_1^(t+1)) / (1 - beta_1^t), the gradient's share in NAdam.

    NAdam corrects the bias of the moment by 1 / (1 - beta_1^(t+1)) and that of the gradient by
    1 / (1 - beta_1^t). The first correction is part of the learning rate for both; the share makes
    up for the difference.
    """
    return (1 - beta_1) * (1 - beta_1 ** (t + 1)) / (1 - beta_1**t)


def gradient_step(value, first, second, g, scalars):
    """Store the gradient as `first`, and leave the parameter as it is."""
    return value, g, second


def sgd_step(value, first, second, g, scalars):
    """Step by the velocity `first`; without momentum this is plain gradient descent."""
    v = velocity(first, g, scalars.learning_rate, scalars.momentum)
    return value + v, v, second


def nesterov_step(value, first, second, g, scalars):
    """Step by Nesterov's momentum, which looks ahead (Sutskever et al., 2013)."""
    v = velocity(first, g, scalars.learning_rate, scalars.momentum)
    return value + velocity(v, g, scalars.learning_rate, scalars.momentum), v, second


def adagrad_step(value, first, second, g, scalars):
    """Scale the step by the square root of the sum of squared gradients, `second`."""
    v = sum_of_squares(second, g)
    return value + scaled_step(g, v, scalars.learning_rate, scalars.epsilon), first, v


def rmsprop_step(value, first, second, g, scalars):
    """Scale the step by the square root of the running mean of squared gradients, `second`."""
    v = second_moment(second, g, scalars.beta_2, scalars.one_minus_beta_2)
    return value + scaled_step(g, v, scalars.learning_rate, scalars.epsilon), first, v


def adam_step(value, first, second, g, scalars):
    """Step by the running mean of gradients, `first`, scaled by `second` as in RMSProp."""
    m = first_moment(first, g, scalars.beta_1, scalars.one_minus_beta_1)
    v = second_moment(second, g, scalars.beta_2, scalars.one_minus_beta_2)
    return value + scaled_step(m, v, scalars.learning_rate, scalars.epsilon), m, v


def nadam_step(value, first, second, g, scalars):
    """Step as Adam does, but with Nesterov's look-ahead to the next step's first moment."""
    m = first_moment(first, g, scalars.beta_1, scalars.one_minus_beta_1)
    v = second_moment(second, g, scalars.beta_2, scalars.one_minus_beta_2)
    mixture = nadam_mixture(m, g, scalars.beta_1, scalars.gradient_share)
    return value + scaled_step(mixture, v, scalars.learning_rate, scalars.epsilon), m, v


def step_of(optimizer):
    """Return the function that computes the step of an optimiser.

    Parameters
    ----------
    optimizer : fastmlp.network.plan.Optimizer

    Returns
    -------
    function
    """
    return globals()[f"{optimizer.name.lower()}_step"]
