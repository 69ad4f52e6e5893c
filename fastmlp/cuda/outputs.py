"""The output layer in device code: its activation, the losses of rows, and their deltas."""

from functools import cache
from math import exp

from numba import float64, types

from ..formulas import activations, losses
from ..plan import OUTPUT_ACTIVATIONS, Loss
from . import layout as at
from .jit import chosen, compile_device, compile_formula, number_like
from .support import is_simulated, refusal

logistic = compile_formula(activations.logistic)
squared_error = compile_formula(losses.squared_error)
output_delta = compile_formula(losses.delta)
margin = compile_formula(losses.margin)
margin_slope = compile_formula(losses.margin_slope)
softmax_delta = compile_formula(losses.softmax_delta)


@compile_device
def _identity(arena, p, n_outputs):
    """Replace one row of output pre-activations by predictions; so do the next ones."""


@compile_device
def _exp(arena, p, n_outputs):
    for j in range(n_outputs):
        arena[p + j] = exp(arena[p + j])


@compile_device
def _logistic(arena, p, n_outputs):
    for j in range(n_outputs):
        arena[p + j] = logistic(arena[p + j])


@compile_device
def _softmax(arena, p, n_outputs):
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


_ACTIVATIONS = {"identity": _identity, "exp": _exp, "logistic": _logistic, "softmax": _softmax}


@cache
def output_functions(choices):
    """The device functions of the output layer.

    Parameters
    ----------
    choices : Choices

    Returns
    -------
    activate_output : device function
        ``(loss, arena, p, n_outputs)`` replaces a row of pre-activations, which begins at p, by
        predictions.
    loss_and_delta : device function
        ``(loss, arena, settings, p, Y, at_y, n_outputs, weight, eps)`` to the loss of a row,
        whose targets begin at `at_y`; deltas replace its predictions.
    """
    used = sorted(choices.losses)
    return (
        chosen({int(loss): _ACTIVATIONS[OUTPUT_ACTIVATIONS[loss]] for loss in used}),
        chosen({int(loss): _row_loss(loss, choices.custom_loss) for loss in used}),
    )


@cache
def _row_loss(loss, custom):
    if loss == Loss.CUSTOM:
        return _elementwise(*custom_functions(*custom))
    if loss == Loss.SQUARED_ERROR:
        return _mean_squared_error
    if loss == Loss.MARGIN:
        return _margin
    name = loss.name.lower()
    value = compile_formula(getattr(losses, name))
    delta = compile_formula(getattr(losses, f"{name}_delta", losses.delta))
    if loss in (Loss.CROSS_ENTROPY, Loss.BINARY_CROSS_ENTROPY):
        return _clipping(value)
    if loss in (Loss.HUBER, Loss.QUANTILE, Loss.BINARY_MARGIN):
        return _columnwise(value, delta)
    return _elementwise(value, delta)


def _elementwise(value, delta):
    """Of a loss that is the same for every output."""

    @compile_device
    def loss_and_delta(arena, settings, p, Y, at_y, n_outputs, weight, eps):
        total = weight - weight
        for j in range(n_outputs):
            y, prediction = Y[at_y + j], arena[p + j]
            total += number_like(value(y, prediction), weight)
            arena[p + j] = number_like(delta(y, prediction), weight) * weight
        return total * weight

    return loss_and_delta


def _columnwise(value, delta):
    """Of a loss that has a parameter for each output."""

    @compile_device
    def loss_and_delta(arena, settings, p, Y, at_y, n_outputs, weight, eps):
        total = weight - weight
        for j in range(n_outputs):
            y, prediction = Y[at_y + j], arena[p + j]
            parameter = arena[settings[at.LOSS_PARAMETERS] + j]
            total += value(y, prediction, parameter)
            arena[p + j] = delta(y, prediction, parameter) * weight
        return total * weight

    return loss_and_delta


def _clipping(value):
    """Of a loss that clips probabilities by the machine's epsilon."""

    @compile_device
    def loss_and_delta(arena, settings, p, Y, at_y, n_outputs, weight, eps):
        total = weight - weight
        for j in range(n_outputs):
            y, prediction = Y[at_y + j], arena[p + j]
            total += value(y, prediction, eps)
            arena[p + j] = output_delta(y, prediction) * weight
        return total * weight

    return loss_and_delta


@compile_device
def _mean_squared_error(arena, settings, p, Y, at_y, n_outputs, weight, eps):
    total = weight - weight
    for j in range(n_outputs):
        y, prediction = Y[at_y + j], arena[p + j]
        total += squared_error(y, prediction)
        arena[p + j] = output_delta(y, prediction) * weight
    return total / n_outputs * weight


@compile_device
def _margin(arena, settings, p, Y, at_y, n_outputs, weight, eps):
    own, other = 0, -1
    for j in range(n_outputs):
        if Y[at_y + j] != 0:
            own = j
        elif other < 0 or arena[p + j] > arena[p + other]:
            other = j
    rho = arena[settings[at.LOSS_PARAMETERS]]
    p_own, p_other = arena[p + own], arena[p + other]
    slope = margin_slope(p_own, p_other, rho)
    mean_slope = slope * (p_other - p_own)
    for j in range(n_outputs):
        slope_here = slope - slope
        if j == own:
            slope_here = -slope
        elif j == other:
            slope_here = slope
        arena[p + j] = softmax_delta(arena[p + j], slope_here, mean_slope) * weight
    return margin(p_own, p_other, rho) * weight


@cache
def custom_functions(value, derivative):
    """The functions of a custom loss for the device; an error where numba cannot compile them."""
    return _compiled("value", value), _compiled("derivative", derivative)


def _compiled(name, function):
    function = getattr(function, "py_func", function)
    if is_simulated():
        return compile_device(function)
    what = f"the {name} function of the custom loss"
    try:
        compiled = compile_device(function)
        result = compiled.compile_device((float64, float64)).signature.return_type
    except Exception as error:  # numba's, or any other where this is no Python function
        reason = " ".join(str(error).split("During:")[0].split())
        raise refusal(
            f"{what} cannot be compiled for a GPU by numba, as a function of two numbers, target "
            f"and prediction: {reason}"
        ) from error
    if not isinstance(result, types.Number | types.Boolean):
        raise refusal(f"{what} must return a number, not {result}")
    return compiled
