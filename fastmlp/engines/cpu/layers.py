"""What happens to the units of hidden layers: activation, its derivative, dropout.

Each function here makes the kernel of one activation, compiled when a network needs it.
"""

from functools import cache

from ...network.formulas import philox
from ...network.formulas.activations import derivative_of, formula_of, slope_of
from .jit import compile_formula, compile_inline, compile_kernel, compile_variant
from .views import view

philox = compile_inline(philox.philox)


@cache
def activation_kernel(activation):
    """Makes the kernel that replaces pre-activations by activations, in place."""
    formula = compile_formula(formula_of(activation))

    @compile_variant(activation.name)
    def activate(arena, start, size):
        z = view(arena, start, size)
        for j in range(size):
            z[j] = formula(z[j])

    return activate


@cache
def derivative_kernel(activation):
    """Makes the kernel that multiplies deltas by the derivative at the activations, in place."""
    formula = compile_formula(derivative_of(activation))

    @compile_variant(activation.name)
    def multiply_by_derivative(arena, activations, deltas, size):
        a, delta = view(arena, activations, size), view(arena, deltas, size)
        for j in range(size):
            delta[j] *= formula(a[j])

    return multiply_by_derivative


@cache
def keeping_kernel(activation):
    """Makes the kernel that activates, in place, and keeps the derivatives, at `kept`."""
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
    """Multiply deltas by kept derivatives, in place."""
    s, delta = view(arena, kept, size), view(arena, deltas, size)
    for j in range(size):
        delta[j] *= s[j]


@compile_kernel
def drop_units(
    arena, start, kept, row_stride, n_rows, n_units, first_unit, seen, key, threshold, scale
):  # fmt: skip
    """Switch units off, and scale up the others: activations and their kept derivatives.

    A unit's random bits are those of its number among all hidden units, from `first_unit` on,
    and of its row's among all rows that were trained on, from `seen` on. Below `threshold` it
    is off. `scale` is the place of the factor.
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
