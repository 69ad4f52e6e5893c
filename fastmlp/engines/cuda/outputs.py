"""The output layer in device code: its activation, the losses of rows, and their deltas.

A block or a warp works on the outputs of a group of rows. Each thread has one of the rows, and some
columns, from `column` on and `stride` apart; what it needs of the whole row, it finds by itself.
"""

from functools import cache
from math import exp

from numba import float64, types

from ...network.formulas import activations, losses
from ...network.plan import OUTPUT_ACTIVATIONS, Loss
from . import layout as at
from .blocks import THREADS
from .elements import load, store
from .jit import chosen, compile_device, compile_formula, number_like
from .jit import inside_kernels as cuda
from .support import is_simulated, refusal

logistic = compile_formula(activations.logistic)
squared_error = compile_formula(losses.squared_error)
output_delta = compile_formula(losses.delta)
margin = compile_formula(losses.margin)
margin_slope = compile_formula(losses.margin_slope)
softmax_delta = compile_formula(losses.softmax_delta)

# Sums of losses for each row: one for every so many columns, whoever has them.
N_SLOTS = THREADS // at.GROUP


@compile_device
def _add_loss(shared, slots, j, loss):
    """Add the loss of a column to its sum."""
    place = slots + at.GROUP * (j % N_SLOTS)
    if j >= N_SLOTS:
        loss += load(shared, place)
    store(shared, place, loss)


@compile_device
def _identity(arena, p, n_outputs, column, stride):
    """Replace output pre-activations, a row's from p on, by predictions; so do the next ones."""


@compile_device
def _exp(arena, p, n_outputs, column, stride):
    j = column
    while j < n_outputs:
        place = p + at.GROUP * j
        store(arena, place, exp(load(arena, place)))
        j += stride


@compile_device
def _logistic(arena, p, n_outputs, column, stride):
    j = column
    while j < n_outputs:
        place = p + at.GROUP * j
        store(arena, place, logistic(load(arena, place)))
        j += stride


@compile_device
def _softmax(arena, p, n_outputs, column, stride):
    largest = load(arena, p)
    for j in range(1, n_outputs):
        largest = max(largest, load(arena, p + at.GROUP * j))
    cuda.syncthreads()
    j = column
    while j < n_outputs:
        place = p + at.GROUP * j
        store(arena, place, exp(load(arena, place) - largest))
        j += stride
    cuda.syncthreads()
    total = load(arena, p)
    for j in range(1, n_outputs):
        total += load(arena, p + at.GROUP * j)
    cuda.syncthreads()
    j = column
    while j < n_outputs:
        place = p + at.GROUP * j
        store(arena, place, load(arena, place) / total)
        j += stride


_ACTIVATIONS = {"identity": _identity, "exp": _exp, "logistic": _logistic, "softmax": _softmax}


@cache
def output_functions(choices):
    """The device functions of the output layer.

    Parameters
    ----------
    choices : Choices

    Returns
    -------
    activate_outputs : device function
        ``(loss, arena, p, n_outputs, column, stride)`` replaces the pre-activations of a group,
        where those of this thread's row begin at p, by predictions; of those only this thread's
        are there then.
    losses_and_deltas : device function
        ``(loss, arena, settings, p, Y, at_y, n_outputs, weight, eps, shared, slots, column,
        stride)`` leaves the sums of this thread's losses in shared memory, from `slots` on and a
        group apart; deltas replace its predictions. The targets of its row begin at `at_y`.
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
    value, delta = map(compile_formula, (losses.value_of(loss), losses.delta_of(loss)))
    if loss.clips_probabilities:
        return _clipping(value)
    if loss.has_parameter:
        return _columnwise(value, delta)
    return _elementwise(value, delta)


def _elementwise(value, delta):
    """Of a loss that is the same for every output."""

    @compile_device
    def losses_and_deltas(
        arena, settings, p, Y, at_y, n_outputs, weight, eps, shared, slots, column, stride
    ):  # fmt: skip
        j = column
        while j < n_outputs:
            place = p + at.GROUP * j
            y, prediction = load(Y, at_y + j), load(arena, place)
            loss = number_like(value(y, prediction), weight) * weight
            _add_loss(shared, slots, j, loss)
            store(arena, place, number_like(delta(y, prediction), weight) * weight)
            j += stride

    return losses_and_deltas


def _columnwise(value, delta):
    """Of a loss that has a parameter for each output."""

    @compile_device
    def losses_and_deltas(
        arena, settings, p, Y, at_y, n_outputs, weight, eps, shared, slots, column, stride
    ):  # fmt: skip
        j = column
        while j < n_outputs:
            place = p + at.GROUP * j
            y, prediction = load(Y, at_y + j), load(arena, place)
            parameter = load(arena, settings[at.LOSS_PARAMETERS] + j)
            _add_loss(shared, slots, j, value(y, prediction, parameter) * weight)
            store(arena, place, delta(y, prediction, parameter) * weight)
            j += stride

    return losses_and_deltas


def _clipping(value):
    """Of a loss that clips probabilities by the machine's epsilon."""

    @compile_device
    def losses_and_deltas(
        arena, settings, p, Y, at_y, n_outputs, weight, eps, shared, slots, column, stride
    ):  # fmt: skip
        j = column
        while j < n_outputs:
            place = p + at.GROUP * j
            y, prediction = load(Y, at_y + j), load(arena, place)
            _add_loss(shared, slots, j, value(y, prediction, eps) * weight)
            store(arena, place, output_delta(y, prediction) * weight)
            j += stride

    return losses_and_deltas


@compile_device
def _mean_squared_error(
    arena, settings, p, Y, at_y, n_outputs, weight, eps, shared, slots, column, stride
):  # fmt: skip
    j = column
    while j < n_outputs:
        place = p + at.GROUP * j
        y, prediction = load(Y, at_y + j), load(arena, place)
        loss = squared_error(y, prediction) / number_like(n_outputs, weight)
        _add_loss(shared, slots, j, loss * weight)
        store(arena, place, output_delta(y, prediction) * weight)
        j += stride


@compile_device
def _margin(
    arena, settings, p, Y, at_y, n_outputs, weight, eps, shared, slots, column, stride
):  # fmt: skip
    cuda.syncthreads()  # the whole row is needed
    own, other = 0, -1
    for j in range(n_outputs):
        if Y[at_y + j] != 0:
            own = j
        elif other < 0 or load(arena, p + at.GROUP * j) > load(arena, p + at.GROUP * other):
            other = j
    rho = load(arena, settings[at.LOSS_PARAMETERS])
    p_own, p_other = load(arena, p + at.GROUP * own), load(arena, p + at.GROUP * other)
    slope = margin_slope(p_own, p_other, rho)
    mean_slope = slope * (p_other - p_own)
    cuda.syncthreads()
    j = column
    while j < n_outputs:
        place = p + at.GROUP * j
        slope_here = slope - slope
        if j == own:
            slope_here = -slope
        elif j == other:
            slope_here = slope
        store(arena, place, softmax_delta(load(arena, place), slope_here, mean_slope) * weight)
        loss = margin(p_own, p_other, rho) * weight if j == 0 else weight - weight
        _add_loss(shared, slots, j, loss)
        j += stride


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
