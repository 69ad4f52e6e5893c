"""Parameter updates of one weight.

``g`` is the gradient of the mini-batch's mean loss. Each optimiser's step is a function
``(value, first, second, g, scalars)`` to the new ``(value, first, second)``: `value` is the
parameter, and `first` and `second` are the two numbers that an optimiser may keep between steps,
such as a velocity or moments. It returns unchanged what it does not use.
"""

from math import sqrt
from typing import NamedTuple


class StepScalars(NamedTuple):
    """The numbers of a step that are the same for all parameters."""

    learning_rate: float
    """With the bias corrections of Adam and NAdam in it."""
    momentum: float
    beta_1: float
    one_minus_beta_1: float
    beta_2: float
    """Also the decay of RMSProp."""
    one_minus_beta_2: float
    epsilon: float
    gradient_share: float
    """See :func:`nadam_gradient_share`."""


def gradient(batch_sum, weight, alpha, inverse_batch_weight):
    """Mean gradient with the L2 penalty: (sum + alpha w) / S."""
    return (batch_sum + alpha * weight) * inverse_batch_weight


def l1_gradient(weight, l1, inverse_batch_weight):
    """Subgradient of the L1 penalty l1 / S abs(w), 0 at 0."""
    slope = l1 * inverse_batch_weight
    upward = slope if weight > 0 else slope - slope
    return -slope if weight < 0 else upward


def clipped(g, limit):
    """G within [-limit, limit]; not-a-number stays."""
    g = limit if g > limit else g
    return -limit if g < -limit else g


def velocity(v, g, learning_rate, momentum):
    """Classical momentum (Polyak, 1964): v <- momentum v - learning_rate g."""
    return momentum * v - learning_rate * g


def first_moment(m, g, beta_1, one_minus_beta_1):
    """Running mean of the gradient: beta_1 m + (1 - beta_1) g."""
    return beta_1 * m + one_minus_beta_1 * g


def second_moment(v, g, beta_2, one_minus_beta_2):
    """Running mean of the squared gradient: beta_2 v + (1 - beta_2) g^2."""
    return beta_2 * v + one_minus_beta_2 * (g * g)


def sum_of_squares(v, g):
    """AdaGrad's memory: v + g^2."""
    return v + g * g


def scaled_step(g, v, learning_rate, epsilon):
    """-learning_rate g / (sqrt(v) + epsilon): AdaGrad (Duchi, Hazan and Singer, 2011) and
    RMSProp (Tieleman and Hinton, 2012); Adam with g the first moment, in the efficient form at
    the end of section 2 of Kingma and Ba (2015): the bias corrections are folded into the
    learning rate.
    """
    return -learning_rate * g / (sqrt(v) + epsilon)


def adam_learning_rate(learning_rate, beta_1, beta_2, t):
    """learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^t), in step t = 1, 2, ...

    The root is a power, so that t may also be a numpy array.
    """
    return learning_rate * (1 - beta_2**t) ** 0.5 / (1 - beta_1**t)


def nadam_learning_rate(learning_rate, beta_1, beta_2, t):
    """learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^(t+1)); t as in Adam."""
    return learning_rate * (1 - beta_2**t) ** 0.5 / (1 - beta_1 ** (t + 1))


def nadam_mixture(m, g, beta_1, gradient_share):
    """The number in the first moment's place in NAdam (Dozat, 2016), before the bias correction
    of the next step's moment: beta_1 m + share g.
    """
    return beta_1 * m + gradient_share * g


def nadam_gradient_share(beta_1, t):
    """(1 - beta_1) (1 - beta_1^(t+1)) / (1 - beta_1^t): the gradient's share of the mixture,
    relative to the correction 1 / (1 - beta_1^(t+1)) of the moment.
    """
    return (1 - beta_1) * (1 - beta_1 ** (t + 1)) / (1 - beta_1**t)


def gradient_step(value, first, second, g, scalars):
    """Keep the gradient as `first`, and change nothing."""
    return value, g, second


def sgd_step(value, first, second, g, scalars):
    """Step by the velocity `first`; without momentum, plain gradient descent."""
    v = velocity(first, g, scalars.learning_rate, scalars.momentum)
    return value + v, v, second


def nesterov_step(value, first, second, g, scalars):
    """Look-ahead step with the new velocity `first` (Sutskever et al., 2013)."""
    v = velocity(first, g, scalars.learning_rate, scalars.momentum)
    return value + velocity(v, g, scalars.learning_rate, scalars.momentum), v, second


def adagrad_step(value, first, second, g, scalars):
    """Step scaled by the root of the sum of squared gradients, `second`."""
    v = sum_of_squares(second, g)
    return value + scaled_step(g, v, scalars.learning_rate, scalars.epsilon), first, v


def rmsprop_step(value, first, second, g, scalars):
    """Step scaled by the root of the running mean of squared gradients, `second`."""
    v = second_moment(second, g, scalars.beta_2, scalars.one_minus_beta_2)
    return value + scaled_step(g, v, scalars.learning_rate, scalars.epsilon), first, v


def adam_step(value, first, second, g, scalars):
    """Step by the running mean of gradients, `first`, scaled as in RMSProp."""
    m = first_moment(first, g, scalars.beta_1, scalars.one_minus_beta_1)
    v = second_moment(second, g, scalars.beta_2, scalars.one_minus_beta_2)
    return value + scaled_step(m, v, scalars.learning_rate, scalars.epsilon), m, v


def nadam_step(value, first, second, g, scalars):
    """Adam's step with Nesterov's look-ahead: the mean of the next step, as far as it is known."""
    m = first_moment(first, g, scalars.beta_1, scalars.one_minus_beta_1)
    v = second_moment(second, g, scalars.beta_2, scalars.one_minus_beta_2)
    mixture = nadam_mixture(m, g, scalars.beta_1, scalars.gradient_share)
    return value + scaled_step(mixture, v, scalars.learning_rate, scalars.epsilon), m, v


def step_of(optimizer):
    """The step of an optimiser.

    Parameters
    ----------
    optimizer : fastmlp.network.plan.Optimizer

    Returns
    -------
    function
    """
    return globals()[f"{optimizer.name.lower()}_step"]
