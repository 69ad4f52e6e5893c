"""Kernels for the output layer: its activation, the losses of rows, and their deltas.

The kernel of one output activation or of one loss is compiled when a network needs it.
"""

from functools import cache

from ...network.formulas import activations, losses
from ...network.plan import Loss
from . import layout as at
from .jit import compile_formula, compile_kernel, compile_variant
from .row_reductions import lowest_bit, n_bits, nonzero_lanes, row_sums, softmax_rows
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
    """Make the kernel that replaces the output pre-activations of a block of rows by predictions.

    The padding of softmax rows becomes zero.

    Parameters
    ----------
    name : {'softmax', 'logistic', 'exp', 'identity'}
        The activation of the output layer.

    Returns
    -------
    numba dispatcher or None
        ``(arena, start, row_stride, n_rows, n_columns)``, where `start` is the place of the first
        row in the arena, and `row_stride` the distance of rows. They are modified in place. None
        for the identity.
    """
    if name == "softmax":

        @compile_variant(name)
        def activate_output(arena, start, row_stride, n_rows, n_columns):
            softmax_rows(arena, start, row_stride, n_rows, n_columns)

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
    """Make the kernel that computes the losses of a block of rows, and their deltas.

    The loss of a row is the sum of the losses of its outputs, or for the squared error their mean.
    The formulas are in :mod:`fastmlp.network.formulas.losses`.

    Parameters
    ----------
    loss : Loss
        Any loss but the custom one, for which :mod:`fastmlp.engines.cpu.custom_loss` has a kernel
        with the same arguments.

    Returns
    -------
    numba dispatcher
        ``(arena, settings, targets, predictions, row_stride, n_rows, n_columns, sums, to)``.
        `targets` and `predictions` are the places of the first rows in the arena, and `row_stride`
        is the distance of rows, which is `n_columns` where rows lie without gaps. Predictions are
        replaced by deltas, and targets may be overwritten. The losses of rows are written to
        ``sums[to :]``. The deltas of the padding are zero, unless :func:`clears_padding` says that
        the caller has to make them so.
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
    return _elementwise_kernel(value, delta, loss.name.lower())


def _elementwise_kernel(value, delta, name):
    """Make the kernel of a loss whose formula is the same for every column.

    Parameters
    ----------
    value, delta : numba dispatcher
        The loss and its delta, as functions of target and prediction.
    name : str
        The name of the loss.

    Returns
    -------
    numba dispatcher
        A kernel with the arguments that :func:`loss_kernel` describes.
    """

    @compile_variant(name)
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
    """Make the kernel of a loss that has a parameter for each column.

    Parameters
    ----------
    value, delta : numba dispatcher
        The loss and its delta, as functions of target, prediction and parameter.
    name : str
        The name of the loss.

    Returns
    -------
    numba dispatcher
        A kernel with the arguments that :func:`loss_kernel` describes.
    """

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
    """Make the kernel of the squared error, whose loss of a row is the mean over outputs."""

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
    """Make the kernel of the binary cross-entropy of each output."""

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


@compile_kernel
def pick_labels(arena, targets, predictions, row_stride, n_rows, n_columns, sums, to):
    """Find the prediction for the class of each row, where rows of targets have a single one.

    Parameters
    ----------
    arena, targets, predictions, row_stride, n_rows, n_columns
        As :func:`loss_kernel` describes them.
    sums : vector of float64
        Modified in place: gets the predictions.
    to : int
        The element of `sums` for the first row.

    Returns
    -------
    bool
        Whether each row of targets has a one and is else zero; if not, the result is incomplete.
    """
    n_lanes = at.ROW_BYTES // arena.itemsize
    for row in range(n_rows):
        first, number, label = row * row_stride, 0, 0
        for column in range(0, n_columns, n_lanes):
            found = nonzero_lanes(arena, targets + first + column)
            number += n_bits(found)
            label += (column + lowest_bit(found)) * (found != 0)
        if number != 1 or arena[targets + first + label] != 1:
            return False
        sums[to + row] = arena[predictions + first + label]
    return True


def _cross_entropy_kernel():
    """Make the kernel of the cross-entropy of probabilities that sum to one."""

    @compile_variant("cross_entropy")
    def losses_and_deltas(
        arena, settings, targets, predictions, row_stride, n_rows, n_columns, sums, to
    ):  # fmt: skip
        n = n_rows * row_stride
        y, p = view(arena, targets, n), view(arena, predictions, n)
        eps = arena[settings[at.MACHINE_EPSILON]]
        if pick_labels(arena, targets, predictions, row_stride, n_rows, n_columns, sums, to):
            one = arena.dtype.type(1)
            for row in range(n_rows):  # many logarithms at once
                sums[to + row] = cross_entropy(one, arena.dtype.type(sums[to + row]), eps)
        else:
            n_lanes = at.ROW_BYTES // arena.itemsize
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
    """Make the kernel of the margin loss, which compares the outputs of a row."""

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
