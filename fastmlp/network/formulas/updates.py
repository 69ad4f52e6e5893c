"""Parameter updates of one weight.

``g`` is the gradient of the mini-batch's mean loss. State that an update keeps
between steps (velocity, moments) is passed in and returned.
"""

from math import sqrt


def gradient(batch_sum, weight, alpha, inverse_batch_weight):
    """Mean gradient with the L2 penalty: (sum + alpha w) / S."""
    return (batch_sum + alpha * weight) * inverse_batch_weight


def l1_gradient(weight, l1, inverse_batch_weight):
    """Subgradient of the L1 penalty l1 / S abs(w), 0 at 0."""
    slope = l1 * inverse_batch_weight
    upward = slope if weight > 0 else slope - slope
    return -slope if weight < 0 else upward


def clipped(g, limit):
    """g within [-limit, limit]; not-a-number stays."""
    g = limit if g > limit else g
    return -limit if g < -limit else g


def velocity(v, g, learning_rate, momentum):
    """Classical momentum (Polyak, 1964): v <- momentum v - learning_rate g."""
    return momentum * v - learning_rate * g


def nesterov_step(v, g, learning_rate, momentum):
    """Look-ahead step with the new velocity (Sutskever et al., 2013)."""
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
    learning rate."""
    return -learning_rate * g / (sqrt(v) + epsilon)


def adam_learning_rate(learning_rate, beta_1, beta_2, t):
    """learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^t)."""
    return learning_rate * sqrt(1 - beta_2**t) / (1 - beta_1**t)


def nadam_learning_rate(learning_rate, beta_1, beta_2, t):
    """learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^(t+1))."""
    return learning_rate * sqrt(1 - beta_2**t) / (1 - beta_1 ** (t + 1))


def nadam_mixture(m, g, beta_1, gradient_share):
    """What takes the first moment's place in NAdam (Dozat, 2016), before the bias correction
    of the next step's moment: beta_1 m + share g."""
    return beta_1 * m + gradient_share * g


def nadam_gradient_share(beta_1, t):
    """(1 - beta_1) (1 - beta_1^(t+1)) / (1 - beta_1^t): the gradient's share of the mixture,
    relative to the correction 1 / (1 - beta_1^(t+1)) of the moment."""
    return (1 - beta_1) * (1 - beta_1 ** (t + 1)) / (1 - beta_1**t)
