"""Formulas in device code: activations, losses and updates of single numbers and rows."""

from math import exp

from ..formulas import activations, losses, updates
from ..plan import Activation, Loss, Optimizer
from . import layout as at
from .jit import compile_device, compile_formula

# Plain integers, which the compiler takes as constants.
RELU, TANH, LOGISTIC = int(Activation.RELU), int(Activation.TANH), int(Activation.LOGISTIC)
SQUARED_ERROR, POISSON = int(Loss.SQUARED_ERROR), int(Loss.POISSON)
CROSS_ENTROPY = int(Loss.CROSS_ENTROPY)
SGD, NESTEROV, ADAM = int(Optimizer.SGD), int(Optimizer.NESTEROV), int(Optimizer.ADAM)

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
scaled_step = compile_formula(updates.scaled_step)


@compile_device
def activate(activation, z):
    """A hidden unit's activation."""
    if activation == RELU:
        return relu(z)
    if activation == TANH:
        return hyperbolic_tangent(z)
    if activation == LOGISTIC:
        return logistic(z)
    return z


@compile_device
def times_derivative(activation, a, delta):
    """A delta times the derivative at the activation `a`."""
    if activation == RELU:
        return delta * relu_derivative(a)
    if activation == TANH:
        return delta * hyperbolic_tangent_derivative(a)
    if activation == LOGISTIC:
        return delta * logistic_derivative(a)
    return delta


@compile_device
def activate_output(loss, arena, p, n_outputs):
    """Replace one row of output pre-activations by predictions."""
    if loss == CROSS_ENTROPY:
        largest = arena[p]
        for j in range(1, n_outputs):
            largest = max(largest, arena[p + j])
        total = largest - largest
        for j in range(n_outputs):
            e = exp(arena[p + j] - largest)
            arena[p + j] = e
            total += e
        for j in range(n_outputs):
            arena[p + j] /= total
    elif loss == POISSON:
        for j in range(n_outputs):
            arena[p + j] = exp(arena[p + j])
    elif loss != SQUARED_ERROR:
        for j in range(n_outputs):
            arena[p + j] = logistic(arena[p + j])


@compile_device
def loss_and_delta(loss, arena, p, Y, at_y, n_outputs, weight, eps):
    """The loss of one row, whose targets begin at `at_y`; deltas replace its predictions."""
    total = weight - weight
    for j in range(n_outputs):
        y, prediction = Y[at_y + j], arena[p + j]
        if loss == SQUARED_ERROR:
            total += squared_error(y, prediction)
        elif loss == POISSON:
            total += poisson(y, prediction)
        elif loss == CROSS_ENTROPY:
            total += cross_entropy(y, prediction, eps)
        else:
            total += binary_cross_entropy(y, prediction, eps)
        arena[p + j] = output_delta(y, prediction) * weight
    if loss == SQUARED_ERROR:
        total /= n_outputs
    return total * weight


@compile_device
def apply_update(optimizer, arena, w, n_parameters, batch_sum, alpha, inverse, rate, constants):
    """Change one parameter, at `w`, and its optimiser state; its new value."""
    first, second = w + n_parameters, w + 2 * n_parameters
    value = arena[w]
    g = gradient(batch_sum, value, alpha, inverse)
    if optimizer == ADAM:
        m = first_moment(arena[first], g, constants[at.BETA_1], constants[at.ONE_MINUS_BETA_1])
        v = second_moment(arena[second], g, constants[at.BETA_2], constants[at.ONE_MINUS_BETA_2])
        arena[first] = m
        arena[second] = v
        value += scaled_step(m, v, rate, constants[at.EPSILON])
    elif optimizer == SGD or optimizer == NESTEROV:  # noqa: SIM109  tuples are no kernel code
        v = velocity(arena[first], g, rate, constants[at.MOMENTUM])
        arena[first] = v
        if optimizer == NESTEROV:
            value += nesterov_step(v, g, rate, constants[at.MOMENTUM])
        else:
            value += v
    else:
        arena[first] = g
    arena[w] = value
    return value
