"""What happens to hidden layers' units, in device code: see :mod:`fastmlp.engines.cpu.layers`."""

from functools import cache

from ...network.formulas import philox
from ...network.formulas.activations import derivative_of, formula_of, slope_of
from ...network.plan import Activation
from . import layout as at
from .elements import load, store
from .jit import chosen, compile_device, compile_formula, number_like

philox = compile_device(philox.philox)


@compile_device
def element(row, column, width):
    """Where an element of a matrix in groups of four rows lies, from its beginning."""
    return (row - row % at.GROUP) * width + at.GROUP * column + row % at.GROUP


@cache
def _activate(activation):
    """An activation, in device code."""
    return compile_formula(formula_of(activation))


@cache
def _backward(activation):
    """A delta times the derivative at an activation, in device code."""
    if derivative_of(activation) is None:  # it was kept

        @compile_device
        def times_derivative(a, delta):
            return delta

    else:
        derivative = compile_formula(derivative_of(activation))

        @compile_device
        def times_derivative(a, delta):
            return delta * derivative(a)

    return times_derivative


@cache
def _slope(activation):
    """The derivative at a pre-activation z with the activation a, in device code."""
    if slope_of(activation) is not None:
        of_z = compile_formula(slope_of(activation))

        @compile_device
        def slope(z, a):
            return of_z(z)

    else:
        of_a = compile_formula(derivative_of(activation))

        @compile_device
        def slope(z, a):
            return number_like(of_a(a), z)

    return slope


def _by_code(make, choices):
    """One function for all activations; that of the output layer, the identity, is the last."""
    codes = sorted(choices.activations | {Activation.IDENTITY}, reverse=True)
    return chosen({int(code): make(Activation(code)) for code in codes})


@cache
def unit_functions(choices):
    """What follows the product with a layer's weights, forwards and backwards.

    Parameters
    ----------
    choices : Choices

    Returns
    -------
    finish_unit : device function
        ``(arena, layers, settings, number, row, column, seen, z)`` to the activation of a unit
        of a layer. `seen` is the number of rows that were trained on before this batch.
    finish_delta : device function
        ``(arena, layers, number, row, column, delta)`` to the delta before the activation.
    """
    activate, times_derivative = _by_code(_activate, choices), _by_code(_backward, choices)
    slope, drops = _by_code(_slope, choices), choices.drops_units

    if not choices.keeps_derivatives:

        @compile_device
        def finish_unit(arena, layers, settings, number, row, column, seen, z):
            return activate(layers[number, at.ACTIVATION], z)

        @compile_device
        def finish_delta(arena, layers, number, row, column, delta):
            place = element(row, column, layers[number, at.FAN_OUT])
            a = load(arena, layers[number, at.OUTPUT] + place)
            return times_derivative(layers[number, at.ACTIVATION], a, delta)

        return finish_unit, finish_delta

    @compile_device
    def finish_unit(arena, layers, settings, number, row, column, seen, z):
        a = activate(layers[number, at.ACTIVATION], z)
        kept = layers[number, at.KEPT]
        if kept >= 0:
            s = slope(layers[number, at.ACTIVATION], z, a)
            if drops and layers[number, at.DROP_BELOW] >= 0:
                # Of a fixed type, and in the simulator without limit: products have 64 bits.
                unit = int(layers[number, at.FIRST_UNIT] + column)
                bits = philox(unit, int((seen + row) & 0xFFFFFFFF), int(settings[at.SEED]))
                factor = load(arena, layers[number, at.DROP_SCALE])
                if bits < layers[number, at.DROP_BELOW]:
                    factor -= factor
                a *= factor
                s *= factor
            store(arena, kept + element(row, column, layers[number, at.FAN_OUT]), s)
        return a

    @compile_device
    def finish_delta(arena, layers, number, row, column, delta):
        place = element(row, column, layers[number, at.FAN_OUT])
        kept = layers[number, at.KEPT]
        if kept >= 0:
            return delta * load(arena, kept + place)
        a = load(arena, layers[number, at.OUTPUT] + place)
        return times_derivative(layers[number, at.ACTIVATION], a, delta)

    return finish_unit, finish_delta
