"""The formulas applied to arrays: choices by code, switched outside the loops."""

from functools import partial

from ..formulas import activations, losses, updates
from ..plan import Activation, Loss, Optimizer
from . import layout as at
from .jit import REORDERED, compile_formula, compile_kernel
from .memory import view
from .rows import (
    divide_by_row_sums,
    lowest_bit,
    nonzero_lanes,
    row_sums,
    subtract_row_maxima,
)
from .vector_math import exp

logistic = compile_formula(activations.logistic)
logistic_derivative = compile_formula(activations.logistic_derivative)
hyperbolic_tangent = compile_formula(activations.hyperbolic_tangent)
hyperbolic_tangent_derivative = compile_formula(activations.hyperbolic_tangent_derivative)
relu = compile_formula(activations.relu)
relu_derivative = compile_formula(activations.relu_derivative)

squared_error = compile_formula(losses.squared_error)
poisson = compile_formula(losses.poisson)
cross_entropy = compile_formula(losses.cross_entropy)
binary_cross_entropy = compile_formula(losses.binary_cross_entropy)
output_delta = compile_formula(losses.delta)

gradient = compile_formula(updates.gradient)
velocity = compile_formula(updates.velocity)
nesterov_step = compile_formula(updates.nesterov_step)
first_moment = compile_formula(updates.first_moment)
second_moment = compile_formula(updates.second_moment)
adam_step = compile_formula(updates.adam_step)
adam_learning_rate = compile_formula(updates.adam_learning_rate)


@compile_kernel
def activate(activation, z):
    """Replace pre-activations by activations, in place."""
    if activation == Activation.RELU:
        for j in range(z.size):
            z[j] = relu(z[j])
    elif activation == Activation.TANH:
        for j in range(z.size):
            z[j] = hyperbolic_tangent(z[j])
    elif activation == Activation.LOGISTIC:
        for j in range(z.size):
            z[j] = logistic(z[j])


@compile_kernel
def multiply_by_derivative(activation, a, delta):
    """Multiply deltas by the derivative at the activations `a`, in place."""
    if activation == Activation.RELU:
        for j in range(a.size):
            delta[j] *= relu_derivative(a[j])
    elif activation == Activation.TANH:
        for j in range(a.size):
            delta[j] *= hyperbolic_tangent_derivative(a[j])
    elif activation == Activation.LOGISTIC:
        for j in range(a.size):
            delta[j] *= logistic_derivative(a[j])


@compile_kernel
def activate_output(loss, arena, start, row_stride, n_rows, n_columns):
    """Replace a block's output pre-activations by predictions, in place.

    The padding of softmax rows becomes zero.
    """
    z = view(arena, start, n_rows * row_stride)
    if loss == Loss.CROSS_ENTROPY:
        subtract_row_maxima(arena, start, row_stride, n_rows, n_columns)
        for j in range(z.size):
            z[j] = exp(z[j])
        divide_by_row_sums(arena, start, row_stride, n_rows, n_columns)
    elif loss == Loss.BINARY_CROSS_ENTROPY:
        for j in range(z.size):
            z[j] = logistic(z[j])
    elif loss == Loss.POISSON:
        for j in range(z.size):
            z[j] = exp(z[j])


@compile_kernel
def losses_and_deltas(
    loss, arena, targets, predictions, row_stride, n_rows, n_columns, n_lanes, epsilon, sums, to
):  # fmt: skip
    """Write the loss of each row of a block to ``sums[to :]``; replace predictions by deltas.

    The loss of a row is the sum over its outputs, for the squared error their mean. Targets
    may be overwritten. The padding of targets is zero, and that of predictions as well but
    for the logistic and the exponential function, whose padding the caller has to clear.
    `epsilon` is the place of the machine's.
    """
    n = n_rows * row_stride
    y, p = view(arena, targets, n), view(arena, predictions, n)
    eps = arena[epsilon]
    if loss == Loss.CROSS_ENTROPY:
        # Most targets are zero: only the others cost a logarithm.
        for row in range(n_rows):
            total = 0.0
            for column in range(row * row_stride, row * row_stride + n_columns, n_lanes):
                found = nonzero_lanes(arena, targets + column)
                while found != 0:
                    j = column + lowest_bit(found)
                    total += cross_entropy(y[j], p[j], eps)
                    found &= found - 1
            sums[to + row] = total
        for j in range(n):
            p[j] = output_delta(y[j], p[j])
        return
    if loss == Loss.SQUARED_ERROR:
        share = arena.dtype.type(1 / n_columns)
        for j in range(n):
            delta = output_delta(y[j], p[j])
            y[j] = squared_error(y[j], p[j]) * share
            p[j] = delta
    elif loss == Loss.POISSON:
        for j in range(n):
            delta = output_delta(y[j], p[j])
            y[j] = poisson(y[j], p[j])
            p[j] = delta
    else:
        for j in range(n):
            delta = output_delta(y[j], p[j])
            y[j] = binary_cross_entropy(y[j], p[j], eps)
            p[j] = delta
    row_sums(arena, targets, row_stride, n_rows, n_columns, sums, to)


@partial(compile_kernel, fastmath=REORDERED)
def squared_norm(w):
    """Sum of squares, added up in as many fixed lanes as a vector has."""
    total = w[0] * 0
    for i in range(w.size):
        total += w[i] * w[i]
    return total


@compile_kernel
def update(optimizer, batch_sum, w, first, second, alpha, hyper):
    """Change the weights `w` and their optimiser state, in place.

    `batch_sum` is the gradient summed over the batch. For `Optimizer.GRADIENT` the mean
    gradient is written to `first` and the weights stay.
    """
    inverse_weight = hyper[at.INVERSE_WEIGHT]
    learning_rate = hyper[at.LEARNING_RATE]
    if optimizer == Optimizer.ADAM:
        beta_1, one_minus_beta_1 = hyper[at.BETA_1], hyper[at.ONE_MINUS_BETA_1]
        beta_2, one_minus_beta_2 = hyper[at.BETA_2], hyper[at.ONE_MINUS_BETA_2]
        epsilon = hyper[at.EPSILON]
        for i in range(w.size):
            g = gradient(batch_sum[i], w[i], alpha, inverse_weight)
            m = first_moment(first[i], g, beta_1, one_minus_beta_1)
            v = second_moment(second[i], g, beta_2, one_minus_beta_2)
            first[i] = m
            second[i] = v
            w[i] += adam_step(m, v, learning_rate, epsilon)
    elif optimizer == Optimizer.SGD:
        momentum = hyper[at.MOMENTUM]
        for i in range(w.size):
            g = gradient(batch_sum[i], w[i], alpha, inverse_weight)
            v = velocity(first[i], g, learning_rate, momentum)
            first[i] = v
            w[i] += v
    elif optimizer == Optimizer.NESTEROV:
        momentum = hyper[at.MOMENTUM]
        for i in range(w.size):
            g = gradient(batch_sum[i], w[i], alpha, inverse_weight)
            v = velocity(first[i], g, learning_rate, momentum)
            first[i] = v
            w[i] += nesterov_step(v, g, learning_rate, momentum)
    else:
        for i in range(w.size):
            first[i] = gradient(batch_sum[i], w[i], alpha, inverse_weight)
