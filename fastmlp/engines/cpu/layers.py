"""Kernels for the units of hidden layers: activation, its derivative, and dropout.

The kernel of one activation is compiled when a network needs it.
"""

from functools import cache

from ...network.formulas import philox
from ...network.formulas.activations import derivative_of, formula_of, slope_of
from .jit import compile_formula, compile_inline, compile_kernel, compile_variant
from .views import view

philox = compile_inline(philox.philox)


@cache
def activation_kernel(activation):
    """Make the kernel that replaces pre-activations by activations, ``z = f(z)``.

    Parameters
    ----------
    activation : Activation

    Returns
    -------
    numba dispatcher
        ``(arena, start, size)``, where `start` is the place of the first pre-activation in the
        arena, and `size` their number. They are modified in place.
    """
    formula = compile_formula(formula_of(activation))

    @compile_variant(activation.name)
    def activate(arena, start, size):
        z = view(arena, start, size)
        for j in range(size):
            z[j] = formula(z[j])

    return activate


@cache
def derivative_kernel(activation):
    """Make the kernel that multiplies deltas by the derivative, ``delta *= f'(a)``.

    The derivative is a function of the activation `a`.

    Parameters
    ----------
    activation : Activation

    Returns
    -------
    numba dispatcher
        ``(arena, activations, deltas, size)``, where `activations` and `deltas` are the places of
        the first ones in the arena, and `size` is the number of each. The deltas are modified in
        place.
    """
    formula = compile_formula(derivative_of(activation))

    @compile_variant(activation.name)
    def multiply_by_derivative(arena, activations, deltas, size):
        a, delta = view(arena, activations, size), view(arena, deltas, size)
        for j in range(size):
            delta[j] *= formula(a[j])

    return multiply_by_derivative


@cache
def keeping_kernel(activation):
    """Make the kernel that replaces pre-activations by activations and keeps the derivatives.

    Parameters
    ----------
    activation : Activation

    Returns
    -------
    numba dispatcher
        ``(arena, start, kept, size)``, where `start` is the place of the first pre-activation in
        the arena, `kept` the place where the first derivative is written, and `size` the number of
        each. Pre-activations are modified in place.
    """
    formula = compile_formula(formula_of(activation))

    if slope_of(activation) is not None:
        slope = compile_formula(slope_of(activation))

        @compile_variant(activation.name)
        def activate_and_keep(arena, start, kept, size):
            z, s = view(arena, start, size), view(arena, kept, size)
            for j in range(size):
                s[j] = slope(z[j])
                z[j] = formula(z[j])

    else:
        derivative = compile_formula(derivative_of(activation))

        @compile_variant(activation.name)
        def activate_and_keep(arena, start, kept, size):
            z, s = view(arena, start, size), view(arena, kept, size)
            for j in range(size):
                a = formula(z[j])
                s[j] = derivative(a)
                z[j] = a

    return activate_and_keep


@compile_kernel
def multiply_by_kept(arena, kept, deltas, size):
    """Multiply deltas by kept derivatives.

    Parameters
    ----------
    arena : vector
        The deltas are modified in place.
    kept, deltas : int
        The places of the first derivative and of the first delta in the arena.
    size : int
        The number of deltas.
    """
    s, delta = view(arena, kept, size), view(arena, deltas, size)
    for j in range(size):
        delta[j] *= s[j]


@compile_kernel
def drop_units(
    arena, start, kept, row_stride, n_rows, n_units, first_unit, seen, key, threshold, scale
):  # fmt: skip
    """Switch units off at random, and scale up the others.

    Activations and their kept derivatives are multiplied by 0 where a unit is off, and else by the
    factor. A unit is off where its random bits are below a threshold. These bits are a function of
    the key, of the unit's number among all hidden units, and of the row's number among all rows
    that were trained on.

    Parameters
    ----------
    arena : vector
        The activations and their derivatives are modified in place.
    start, kept : int
        The places of the first activation and of the first derivative in the arena.
    row_stride : int
        The distance of rows.
    n_rows, n_units : int
        The number of rows, and the number of units of the layer.
    first_unit : int
        The number of the layer's first unit among all hidden units.
    seen : int
        The number of rows that were trained on before the first of these rows.
    key : int
        The seed of dropout.
    threshold : int
        The smallest 32 random bits with which a unit stays.
    scale : int
        The place of the factor in the arena.
    """
    factor = arena[scale]
    for row in range(n_rows):
        a = view(arena, start + row * row_stride, n_units)
        s = view(arena, kept + row * row_stride, n_units)
        for j in range(n_units):
            bits = philox(first_unit + j, (seen + row) & 0xFFFFFFFF, key)
            m = factor if bits >= threshold else factor - factor
            a[j] *= m
            s[j] *= m
