"""From the summed gradient of a batch to new weights."""

from functools import cache, partial
from math import sqrt

from ...network.formulas import updates
from ...network.plan import Optimizer
from . import layout as at
from .jit import REORDERED, compile_formula, compile_kernel, compile_variant
from .views import view

gradient = compile_formula(updates.gradient)
l1_gradient = compile_formula(updates.l1_gradient)
clipped = compile_formula(updates.clipped)


@cache
def update_kernel(optimizer):
    """Makes the kernel that changes `size` weights, from `start`, and their optimiser state.

    The gradient is summed over the batch; `alpha` and `inverse` are the places, in the scratch,
    of the L2 penalty and of the factor that makes the sum a mean. For ``Optimizer.GRADIENT`` the
    mean gradient is written to the first vector of the state, and the weights stay.

    Parameters
    ----------
    optimizer : Optimizer

    Returns
    -------
    kernel
        ``(arena, settings, scratch, batch_sum, start, size, alpha, inverse)``
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


@partial(compile_kernel, fastmath=REORDERED)
def squared_norm(w):
    """Sum of squares, added up in as many fixed lanes as a vector has."""
    total = w[0] * 0
    for i in range(w.size):
        total += w[i] * w[i]
    return total


@partial(compile_kernel, fastmath=REORDERED)
def absolute_sum(w):
    """Sum of absolute values, added up likewise."""
    total = w[0] * 0
    for i in range(w.size):
        total += abs(w[i])
    return total


@compile_kernel
def shape_gradient(arena, scratch, batch_sum, start, size, alpha, l1, sums, to):
    """Replace a summed gradient by the mean one, with penalties, clipped element by element.

    Its squared norm is added to ``sums[to]``. `alpha` and `l1` are places in the scratch.
    """
    scalars, g = view(arena, scratch, at.N_SCALARS), view(arena, batch_sum, size)
    w = view(arena, start, size)
    penalty, inverse_weight = scalars[alpha], scalars[at.INVERSE_WEIGHT]
    l1_penalty, limit = scalars[l1], scalars[at.CLIP_VALUE]
    for i in range(size):
        mean = gradient(g[i], w[i], penalty, inverse_weight)
        mean += l1_gradient(w[i], l1_penalty, inverse_weight)
        g[i] = clipped(mean, limit)
    sums[to] += squared_norm(g)


@compile_kernel
def scale(arena, factor, start, size):
    """Multiply `size` numbers by the one at `factor`, in place."""
    c, w = arena[factor], view(arena, start, size)
    for i in range(size):
        w[i] *= c


@compile_kernel
def limit_columns(arena, limit, start, depth, width, squares):
    """Scale each column of a panel of weights down to a Euclidean norm, that at `limit`.

    `squares` is room for a row of the panel.
    """
    most, sums = arena[limit], view(arena, squares, width)
    for j in range(width):
        sums[j] = 0
    for i in range(depth):
        w = view(arena, start + i * width, width)
        for j in range(width):
            sums[j] += w[j] * w[j]
    for j in range(width):
        # A norm that is not a number leaves its column as it is: divergence stays visible.
        sums[j] = most / sqrt(sums[j]) if sums[j] > most * most else arena.dtype.type(1)
    for i in range(depth):
        w = view(arena, start + i * width, width)
        for j in range(width):
            w[j] *= sums[j]
