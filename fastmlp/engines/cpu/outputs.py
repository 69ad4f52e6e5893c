"""The output layer: its activation, the losses of rows, and their deltas.

Each function here makes the kernel of one choice, compiled when a network needs it.
"""

from functools import cache

from ...network.formulas import activations, losses
from ...network.plan import Loss
from . import layout as at
from .jit import compile_formula, compile_variant
from .row_reductions import (
    divide_by_row_sums,
    lowest_bit,
    nonzero_lanes,
    row_sums,
    subtract_row_maxima,
)
from .vector_math import exp
from .views import view

logistic = compile_formula(activations.logistic)
cross_entropy = compile_formula(losses.cross_entropy)
binary_cross_entropy = compile_formula(losses.binary_cross_entropy)
output_delta = compile_formula(losses.delta)
squared_error = compile_formula(losses.squared_error)
margin = compile_formula(losses.margin)
margin_slope = compile_formula(losses.margin_slope)
softmax_delta = compile_formula(losses.softmax_delta)


@cache
def output_kernel(name):
    """Makes the kernel that replaces a block's output pre-activations by predictions, in place.

    The padding of softmax rows becomes zero. None for the identity.
    """
    if name == "softmax":

        @compile_variant(name)
        def activate_output(arena, start, row_stride, n_rows, n_columns):
            subtract_row_maxima(arena, start, row_stride, n_rows, n_columns)
            z = view(arena, start, n_rows * row_stride)
            for j in range(z.size):
                z[j] = exp(z[j])
            divide_by_row_sums(arena, start, row_stride, n_rows, n_columns)

    elif name == "logistic":

        @compile_variant(name)
        def activate_output(arena, start, row_stride, n_rows, n_columns):
            z = view(arena, start, n_rows * row_stride)
            for j in range(z.size):
                z[j] = logistic(z[j])

    elif name == "exp":

        @compile_variant(name)
        def activate_output(arena, start, row_stride, n_rows, n_columns):
            z = view(arena, start, n_rows * row_stride)
            for j in range(z.size):
                z[j] = exp(z[j])

    else:
        return None
    return activate_output


@cache
def loss_kernel(loss):
    """Makes the kernel of a loss (for custom ones see :mod:`fastmlp.engines.cpu.custom_loss`).

    It writes the loss of each row of a block to ``sums[to :]`` and replaces predictions by
    deltas. The loss of a row is the sum over its outputs, for the squared error their mean.
    Targets may be overwritten. The padding of predictions is zero but for some output
    activations, whose padding the caller clears afterwards (see `clears_padding`).
    """
    if loss == Loss.CROSS_ENTROPY:
        return _cross_entropy_kernel()
    if loss == Loss.MARGIN:
        return _margin_kernel()
    if loss == Loss.SQUARED_ERROR:
        return _squared_error_kernel()
    if loss == Loss.BINARY_CROSS_ENTROPY:
        return _binary_cross_entropy_kernel()
    value, delta = map(compile_formula, (losses.value_of(loss), losses.delta_of(loss)))
    if loss.has_parameter:
        return _columnwise_kernel(value, delta, loss.name.lower())
    return elementwise_kernel(value, delta, loss.name.lower())


def clears_padding(loss):
    """Whether padding gets a delta that is not zero."""
    return loss in (Loss.POISSON, Loss.BINARY_CROSS_ENTROPY, Loss.BINARY_MARGIN, Loss.CUSTOM)


def elementwise_kernel(value, delta, name, **options):
    """Makes the kernel of a loss that is the same for every column.

    `value` and `delta` are compiled functions of target and prediction.
    """

    @compile_variant(name, **options)
    def losses_and_deltas(
        arena, settings, targets, predictions, row_stride, n_rows, n_columns, sums, to
    ):  # fmt: skip
        n = n_rows * row_stride
        y, p = view(arena, targets, n), view(arena, predictions, n)
        for j in range(n):
            d = delta(y[j], p[j])
            y[j] = value(y[j], p[j])
            p[j] = d
        row_sums(arena, targets, row_stride, n_rows, n_columns, sums, to)

    return losses_and_deltas


def _columnwise_kernel(value, delta, name):
    """Makes the kernel of a loss that has a parameter for each column."""

    @compile_variant(name)
    def losses_and_deltas(
        arena, settings, targets, predictions, row_stride, n_rows, n_columns, sums, to
    ):  # fmt: skip
        parameter = view(arena, settings[at.LOSS_PARAMETERS], row_stride)
        for row in range(n_rows):
            y = view(arena, targets + row * row_stride, row_stride)
            p = view(arena, predictions + row * row_stride, row_stride)
            for j in range(row_stride):
                d = delta(y[j], p[j], parameter[j])
                y[j] = value(y[j], p[j], parameter[j])
                p[j] = d
        row_sums(arena, targets, row_stride, n_rows, n_columns, sums, to)

    return losses_and_deltas


def _squared_error_kernel():
    @compile_variant("squared_error")
    def losses_and_deltas(
        arena, settings, targets, predictions, row_stride, n_rows, n_columns, sums, to
    ):  # fmt: skip
        n = n_rows * row_stride
        y, p = view(arena, targets, n), view(arena, predictions, n)
        share = arena.dtype.type(1 / n_columns)
        for j in range(n):
            delta = output_delta(y[j], p[j])
            y[j] = squared_error(y[j], p[j]) * share
            p[j] = delta
        row_sums(arena, targets, row_stride, n_rows, n_columns, sums, to)

    return losses_and_deltas


def _binary_cross_entropy_kernel():
    @compile_variant("binary_cross_entropy")
    def losses_and_deltas(
        arena, settings, targets, predictions, row_stride, n_rows, n_columns, sums, to
    ):  # fmt: skip
        n = n_rows * row_stride
        y, p = view(arena, targets, n), view(arena, predictions, n)
        eps = arena[settings[at.MACHINE_EPSILON]]
        for j in range(n):
            delta = output_delta(y[j], p[j])
            y[j] = binary_cross_entropy(y[j], p[j], eps)
            p[j] = delta
        row_sums(arena, targets, row_stride, n_rows, n_columns, sums, to)

    return losses_and_deltas


def _cross_entropy_kernel():
    @compile_variant("cross_entropy")
    def losses_and_deltas(
        arena, settings, targets, predictions, row_stride, n_rows, n_columns, sums, to
    ):  # fmt: skip
        n = n_rows * row_stride
        y, p = view(arena, targets, n), view(arena, predictions, n)
        eps = arena[settings[at.MACHINE_EPSILON]]
        n_lanes = settings[at.PANEL] // 2
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

    return losses_and_deltas


def _margin_kernel():
    @compile_variant("margin")
    def losses_and_deltas(
        arena, settings, targets, predictions, row_stride, n_rows, n_columns, sums, to
    ):  # fmt: skip
        rho = arena[settings[at.LOSS_PARAMETERS]]
        for row in range(n_rows):
            y = view(arena, targets + row * row_stride, n_columns)
            p = view(arena, predictions + row * row_stride, n_columns)
            own, other = 0, -1
            for j in range(n_columns):
                if y[j] != 0:
                    own = j
                elif other < 0 or p[j] > p[other]:
                    other = j
            sums[to + row] = margin(p[own], p[other], rho)
            slope = margin_slope(p[own], p[other], rho)
            mean_slope = slope * (p[other] - p[own])
            for j in range(n_columns):
                y[j] = 0
            y[own] = -slope
            y[other] = slope
            for j in range(n_columns):
                p[j] = softmax_delta(p[j], y[j], mean_slope)

    return losses_and_deltas
