"""Device functions of the output layer: its activation, the losses of rows, and their deltas.

A block or a warp works on the outputs of a group of rows. Each thread takes some columns of one of
the rows. Where a number depends on the whole row, such as the sum of softmax, each thread computes
it by itself.
"""

from collections.abc import Callable
from math import exp
from typing import Any, NamedTuple

from ...network.formulas import activations, losses
from ...network.plan import OUTPUT_ACTIVATIONS, Loss
from . import layout as at
from .blocks import THREADS
from .custom_loss import custom_functions, number_or_nan
from .elements import load, store
from .jit import chosen, compile_device, compile_formula, number_like
from .jit import inside_kernels as cuda
from .specialization import specialized

logistic = compile_formula(activations.logistic)
squared_error = compile_formula(losses.squared_error)
output_delta = compile_formula(losses.delta)
margin = compile_formula(losses.margin)
margin_slope = compile_formula(losses.margin_slope)
softmax_delta = compile_formula(losses.softmax_delta)

# Number of sums of losses for each row. The loss of column j is added to sum j modulo this number.
N_SLOTS = THREADS // at.GROUP


class OutputPart(NamedTuple):
    """The outputs that a thread works on: some columns of one row of a group.

    Attributes
    ----------
    arena : device array
    place : int
        Place of the row's first output in the arena. The outputs lie GROUP elements apart.
    n_outputs : int
    column : int
        First column of the thread.
    stride : int
        Distance of the thread's columns.
    """

    arena: Any
    place: int
    n_outputs: int
    column: int
    stride: int


class Target(NamedTuple):
    """The target of a row.

    Attributes
    ----------
    Y : device array
        The targets of all rows as a vector.
    place : int
        Place of the row's first element in Y.
    weight : float
        The row's sample weight.
    """

    Y: Any
    place: int
    weight: float


class Slots(NamedTuple):
    """The place of a row's N_SLOTS sums of losses.

    Attributes
    ----------
    shared : array in shared memory
    place : int
        Place of the first sum. The sums lie GROUP elements apart.
    """

    shared: Any
    place: int


class OutputFunctions(NamedTuple):
    """Device functions of the output layer.

    Attributes
    ----------
    activate_outputs : device function
        It takes ``(loss, part)``, where `loss` is the code of a loss, and replaces the thread's
        pre-activations by predictions. Other threads may not have written theirs when it returns.
    losses_and_deltas : device function
        It takes ``(loss, network, part, target, slots)``, leaves the sums of the thread's losses in
        shared memory, and replaces its predictions by deltas.
    """

    activate_outputs: Callable
    losses_and_deltas: Callable


@specialized
def output_functions(specialization):
    """Make the :class:`OutputFunctions` of a :class:`~.specialization.Specialization`."""
    used = sorted(specialization.losses)
    custom = specialization.custom_loss
    return OutputFunctions(
        chosen({int(loss): _ACTIVATIONS[OUTPUT_ACTIVATIONS[loss]] for loss in used}),
        chosen({int(loss): _losses_and_deltas(loss, custom) for loss in used}),
    )


@compile_device
def _identity(part):
    """Leave the pre-activations as they are."""


@compile_device
def _exp(part):
    """Replace each output by its exponential."""
    j = part.column
    while j < part.n_outputs:
        place = part.place + at.GROUP * j
        store(part.arena, place, exp(load(part.arena, place)))
        j += part.stride


@compile_device
def _logistic(part):
    """Replace each output by its logistic function."""
    j = part.column
    while j < part.n_outputs:
        place = part.place + at.GROUP * j
        store(part.arena, place, logistic(load(part.arena, place)))
        j += part.stride


@compile_device
def _softmax(part):
    """Replace the outputs of a row by their exponentials, divided by the sum of these."""
    arena, p, n_outputs = part.arena, part.place, part.n_outputs
    largest = load(arena, p)
    for j in range(1, n_outputs):
        largest = max(largest, load(arena, p + at.GROUP * j))
    cuda.syncthreads()
    j = part.column
    while j < n_outputs:
        place = p + at.GROUP * j
        store(arena, place, exp(load(arena, place) - largest))
        j += part.stride
    cuda.syncthreads()
    total = load(arena, p)
    for j in range(1, n_outputs):
        total += load(arena, p + at.GROUP * j)
    cuda.syncthreads()
    j = part.column
    while j < n_outputs:
        place = p + at.GROUP * j
        store(arena, place, load(arena, place) / total)
        j += part.stride


_ACTIVATIONS = {"identity": _identity, "exp": _exp, "logistic": _logistic, "softmax": _softmax}


def _losses_and_deltas(loss, custom):
    """Make the function ``losses_and_deltas`` for one loss, without its first argument."""
    if loss == Loss.CUSTOM:
        return _column_by_column(_custom(*custom_functions(*custom)))
    if loss == Loss.SQUARED_ERROR:
        return _column_by_column(_mean_squared_error)
    if loss == Loss.MARGIN:
        return _margin
    value, delta = map(compile_formula, (losses.value_of(loss), losses.delta_of(loss)))
    if loss.clips_probabilities:
        return _column_by_column(_clipping(value))
    if loss.has_parameter:
        return _column_by_column(_with_parameter(value, delta))
    return _column_by_column(_plain(value, delta))


@compile_device
def _add_loss(slots, j, loss):
    """Add the loss of a column to its sum."""
    place = slots.place + at.GROUP * (j % N_SLOTS)
    if j >= N_SLOTS:
        loss += load(slots.shared, place)
    store(slots.shared, place, loss)


def _column_by_column(loss_and_delta):
    """Make the function ``losses_and_deltas`` of a loss that is a sum over columns.

    Parameters
    ----------
    loss_and_delta : device function
        It takes ``(network, part, j, y, prediction, weight)`` and returns the loss and the delta of
        column j, both times the weight of the row.
    """

    @compile_device
    def losses_and_deltas(network, part, target, slots):
        j = part.column
        while j < part.n_outputs:
            place = part.place + at.GROUP * j
            y, prediction = load(target.Y, target.place + j), load(part.arena, place)
            loss, delta = loss_and_delta(network, part, j, y, prediction, target.weight)
            _add_loss(slots, j, loss)
            store(part.arena, place, delta)
            j += part.stride

    return losses_and_deltas


def _plain(value, delta):
    """Make ``loss_and_delta`` from formulas of target and prediction."""

    @compile_device
    def loss_and_delta(network, part, j, y, prediction, weight):
        return value(y, prediction) * weight, delta(y, prediction) * weight

    return loss_and_delta


def _custom(value, derivative):
    """Make ``loss_and_delta`` from the functions of a custom loss."""

    @compile_device
    def loss_and_delta(network, part, j, y, prediction, weight):
        loss = number_or_nan(value, y, prediction, weight) * weight
        return loss, number_or_nan(derivative, y, prediction, weight) * weight

    return loss_and_delta


def _with_parameter(value, delta):
    """Make ``loss_and_delta`` from formulas that have a parameter for each output."""

    @compile_device
    def loss_and_delta(network, part, j, y, prediction, weight):
        parameter = load(network.arena, network.settings[at.LOSS_PARAMETERS] + j)
        loss = value(y, prediction, parameter) * weight
        return loss, delta(y, prediction, parameter) * weight

    return loss_and_delta


def _clipping(value):
    """Make ``loss_and_delta`` for a loss that clips probabilities by the machine epsilon."""

    @compile_device
    def loss_and_delta(network, part, j, y, prediction, weight):
        loss = value(y, prediction, network.constants[at.MACHINE_EPSILON]) * weight
        return loss, output_delta(y, prediction) * weight

    return loss_and_delta


@compile_device
def _mean_squared_error(network, part, j, y, prediction, weight):
    """Compute loss and delta of a column for the squared error, which is a mean over outputs."""
    loss = squared_error(y, prediction) / number_like(part.n_outputs, weight)
    return loss * weight, output_delta(y, prediction) * weight


@compile_device
def _margin(network, part, target, slots):
    """Do the work of ``losses_and_deltas`` for the margin loss, which needs the whole row."""
    arena, p, n_outputs, weight = part.arena, part.place, part.n_outputs, target.weight
    cuda.syncthreads()
    own, other = 0, -1
    for j in range(n_outputs):
        if target.Y[target.place + j] != 0:
            own = j
        elif other < 0 or load(arena, p + at.GROUP * j) > load(arena, p + at.GROUP * other):
            other = j
    rho = load(arena, network.settings[at.LOSS_PARAMETERS])
    p_own, p_other = load(arena, p + at.GROUP * own), load(arena, p + at.GROUP * other)
    slope = margin_slope(p_own, p_other, rho)
    mean_slope = slope * (p_other - p_own)
    cuda.syncthreads()
    j = part.column
    while j < n_outputs:
        place = p + at.GROUP * j
        slope_here = slope - slope
        if j == own:
            slope_here = -slope
        elif j == other:
            slope_here = slope
        store(arena, place, softmax_delta(load(arena, place), slope_here, mean_slope) * weight)
        loss = margin(p_own, p_other, rho) * weight if j == 0 else weight - weight
        _add_loss(slots, j, loss)
        j += part.stride
