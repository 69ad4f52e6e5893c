"""Kernels that use the summed gradient of a batch, and those that change weights."""

from functools import cache
from math import sqrt

from ...network.formulas import updates
from ...network.plan import Optimizer
from . import layout as at
from .jit import compile_formula, compile_kernel, compile_variant
from .vector_math import multiply_add
from .views import view

gradient = compile_formula(updates.gradient)
l1_gradient = compile_formula(updates.l1_gradient)
clipped = compile_formula(updates.clipped)


@cache
def update_kernel(optimizer):
    """Make the kernel that changes parameters and their part of the optimiser's memory.

    For ``Optimizer.GRADIENT`` the parameters stay as they are, and the mean gradient is written to
    the first vector of the memory. The formulas are in :mod:`fastmlp.network.formulas.updates`.

    Parameters
    ----------
    optimizer : Optimizer

    Returns
    -------
    numba dispatcher
        ``(arena, settings, scratch, batch_sum, start, size, alpha, inverse)``. The arena is
        modified in place. `scratch`, `batch_sum` and `start` are places in the arena: of the
        thread's scratch, of the gradient that is summed over the batch, and of the first
        parameter. `size` is the number of parameters. `alpha` and `inverse` are the numbers of two
        scalars in the scratch: the L2 penalty, and the factor that makes the sum a mean.
    """
    optimizer = Optimizer(optimizer)
    step = compile_formula(updates.step_of(optimizer))
    uses_first, uses_second = optimizer.uses_first, optimizer.uses_second

    @compile_variant(optimizer.name.lower())
    def update(arena, settings, scratch, batch_sum, start, size, alpha, inverse):
        scalars, sums = view(arena, scratch, at.N_SCALARS), view(arena, batch_sum, size)
        w = view(arena, start, size)
        first = view(arena, start + settings[at.TO_FIRST], size)
        second = view(arena, start + settings[at.TO_SECOND], size)
        penalty, inverse_weight = scalars[alpha], scalars[inverse]
        step_scalars = updates.StepScalars(
            scalars[at.LEARNING_RATE], scalars[at.MOMENTUM], scalars[at.BETA_1],
            scalars[at.ONE_MINUS_BETA_1], scalars[at.BETA_2], scalars[at.ONE_MINUS_BETA_2],
            scalars[at.EPSILON], scalars[at.GRADIENT_SHARE],
        )  # fmt: skip
        for i in range(size):
            g = gradient(sums[i], w[i], penalty, inverse_weight)
            value = m = v = w[i]
            if uses_first:
                m = first[i]
            if uses_second:
                v = second[i]
            value, m, v = step(value, m, v, g, step_scalars)
            w[i] = value
            if uses_first:
                first[i] = m
            if uses_second:
                second[i] = v

    return update


@compile_kernel
def shape_gradient(arena, scratch, batch_sum, start, size, alpha, l1):
    """Replace a summed gradient by the mean gradient with penalties, and clip its elements.

    Parameters
    ----------
    arena : vector
        The gradient is modified in place.
    scratch : int
        Where this thread's scratch starts in the arena.
    batch_sum : int
        Where the gradient, which is summed over the batch, starts in the arena.
    start, size : int
        Where the parameters start in the arena, and their number.
    alpha, l1 : int
        The numbers of the scalars in the scratch that are the L2 and the L1 penalty.
    """
    scalars, g = view(arena, scratch, at.N_SCALARS), view(arena, batch_sum, size)
    w = view(arena, start, size)
    penalty, inverse_weight = scalars[alpha], scalars[at.INVERSE_WEIGHT]
    l1_penalty, limit = scalars[l1], scalars[at.CLIP_VALUE]
    for i in range(size):
        mean = gradient(g[i], w[i], penalty, inverse_weight)
        mean += l1_gradient(w[i], l1_penalty, inverse_weight)
        g[i] = clipped(mean, limit)


@compile_kernel
def scale(arena, factor, start, size):
    """Multiply numbers by a factor.

    Parameters
    ----------
    arena : vector
        The numbers are modified in place.
    factor : int
        The place of the factor in the arena.
    start, size : int
        Where the numbers start in the arena, and how many there are.
    """
    c, w = arena[factor], view(arena, start, size)
    for i in range(size):
        w[i] *= c


@compile_kernel
def limit_columns(arena, limit, start, depth, width, squares):
    """Scale down each column of a panel of weights whose Euclidean norm is above a limit.

    Parameters
    ----------
    arena : vector
        The panel is modified in place.
    limit : int
        The place of the limit in the arena.
    start, depth, width : int
        Where the panel starts in the arena, and its numbers of rows and of columns.
    squares : int
        The place of as many elements as a row of the panel has; they are overwritten.
    """
    most, sums = arena[limit], view(arena, squares, width)
    for j in range(width):
        sums[j] = 0
    for i in range(depth):
        w = view(arena, start + i * width, width)
        for j in range(width):
            sums[j] = multiply_add(w[j], w[j], sums[j])
    for j in range(width):
        # A norm that is not a number leaves its column as it is: divergence stays visible.
        sums[j] = most / sqrt(sums[j]) if sums[j] > most * most else arena.dtype.type(1)
    for i in range(depth):
        w = view(arena, start + i * width, width)
        for j in range(width):
            w[j] *= sums[j]
