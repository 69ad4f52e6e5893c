"""Parameter updates of one weight.

``g`` is the gradient of the mini-batch's mean loss. State that an update keeps
between steps (velocity, moments) is passed in and returned.
"""

from math import sqrt


def gradient(batch_sum, weight, alpha, inverse_batch_weight):
    """Mean gradient with the L2 penalty: (sum + alpha w) / S."""
    return (batch_sum + alpha * weight) * inverse_batch_weight


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


def adam_step(m, v, corrected_learning_rate, epsilon):
    """-a m / (sqrt(v) + epsilon), the efficient form at the end of section 2 of Kingma
    and Ba (2015): the bias corrections are folded into the learning rate."""
    return -corrected_learning_rate * m / (sqrt(v) + epsilon)


def adam_learning_rate(learning_rate, beta_1, beta_2, t):
    """learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^t)."""
    return learning_rate * sqrt(1 - beta_2**t) / (1 - beta_1**t)
