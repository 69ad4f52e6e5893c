"""What happens to hidden layers' units, in device code: see :mod:`fastmlp.engines.cpu.layers`."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from ...network.formulas import philox
from ...network.formulas.activations import derivative_of, formula_of, slope_of
from ...network.plan import Activation
from . import layout as at
from .elements import load, store
from .jit import chosen, compile_device, compile_formula, number_like
from .specialization import specialized

philox = compile_device(philox.philox)


class Operands(NamedTuple):
    """A product of a layer: where its factors and its result begin in the arena, and their sizes.

    Attributes
    ----------
    a : int
        Where the first factor begins, a matrix of rows of the batch by `depth`, in groups of rows.
    b : int
        Where the second factor begins, a matrix of `depth` by `width`, row by row.
    out : int
        Where the result begins, a matrix of rows of the batch by `width`, in groups of rows.
    depth, width : int
    """

    a: int
    b: int
    out: int
    depth: int
    width: int


@compile_device
def operands(layers, number, is_back):
    """Find the product of a layer: activations by weights, or going back deltas by transposed ones.

    The latter is the delta of the layer before.
    """
    depth, width = layers[number, at.FAN_IN], layers[number, at.FAN_OUT]
    a, b, out = layers[number, at.INPUT], layers[number, at.WEIGHTS], layers[number, at.OUTPUT]
    if is_back:
        depth, width = width, depth
        a, b = layers[number, at.DELTA], layers[number, at.TRANSPOSED]
        out = layers[number - 1, at.DELTA]
    return Operands(a, b, out, depth, width)


@compile_device
def element(row, column, width):
    """Find the place of an element in a matrix that lies in groups of four rows."""
    return (row - row % at.GROUP) * width + at.GROUP * column + row % at.GROUP


@cache
def _activate(activation):
    """Compile the formula of an activation."""
    return compile_formula(formula_of(activation))


@cache
def _backward(activation):
    """Make a device function that multiplies a delta by the derivative at an activation."""
    if derivative_of(activation) is None:  # the forward pass has kept it

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
    """Make a device function for the derivative at a pre-activation z with the activation a."""
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


def _by_code(make, specialization):
    """Make one device function of those of all activations, and of the output layer's identity."""
    codes = sorted(specialization.activations | {Activation.IDENTITY}, reverse=True)
    return chosen({int(code): make(Activation(code)) for code in codes})


class UnitFunctions(NamedTuple):
    """Device functions for what precedes and follows the activation of a unit.

    Attributes
    ----------
    finish_unit : device function
        ``(network, number, row, column, seen, z)`` to the activation of a unit of a layer, where z
        is its pre-activation. `seen` is the number of rows that were trained on before this batch.
    finish_delta : device function
        ``(network, number, row, column, delta)`` to the delta before the activation.
    """

    finish_unit: Callable
    finish_delta: Callable


@specialized
def unit_functions(specialization):
    """The :class:`UnitFunctions` of a :class:`~.specialization.Specialization`."""
    make = _keeping_derivatives if specialization.keeps_derivatives else _keeping_nothing
    return make(specialization)


def _keeping_nothing(specialization):
    """Make the functions for layers whose derivatives follow from their activations."""
    activate = _by_code(_activate, specialization)
    times_derivative = _by_code(_backward, specialization)

    @compile_device
    def finish_unit(network, number, row, column, seen, z):
        return activate(network.layers[number, at.ACTIVATION], z)

    @compile_device
    def finish_delta(network, number, row, column, delta):
        layers = network.layers
        place = element(row, column, layers[number, at.FAN_OUT])
        a = load(network.arena, layers[number, at.OUTPUT] + place)
        return times_derivative(layers[number, at.ACTIVATION], a, delta)

    return UnitFunctions(finish_unit, finish_delta)


def _keeping_derivatives(specialization):
    """Make the functions where some layers keep derivatives, for dropout or their activation."""
    activate, slope = _by_code(_activate, specialization), _by_code(_slope, specialization)
    drops = specialization.drops_units
    finish_plain_delta = _keeping_nothing(specialization).finish_delta

    @compile_device
    def finish_unit(network, number, row, column, seen, z):
        arena, layers = network.arena, network.layers
        a = activate(layers[number, at.ACTIVATION], z)
        kept = layers[number, at.KEPT]
        if kept >= 0:
            s = slope(layers[number, at.ACTIVATION], z, a)
            if drops and layers[number, at.DROP_BELOW] >= 0:
                # philox multiplies to 64 bits, which the simulator's int64 would overflow.
                unit = int(layers[number, at.FIRST_UNIT] + column)
                seed = int(network.settings[at.SEED])
                bits = philox(unit, int((seen + row) & 0xFFFFFFFF), seed)
                factor = load(arena, layers[number, at.DROP_SCALE])
                if bits < layers[number, at.DROP_BELOW]:
                    factor -= factor
                a *= factor
                s *= factor
            store(arena, kept + element(row, column, layers[number, at.FAN_OUT]), s)
        return a

    @compile_device
    def finish_delta(network, number, row, column, delta):
        kept = network.layers[number, at.KEPT]
        if kept >= 0:
            place = element(row, column, network.layers[number, at.FAN_OUT])
            return delta * load(network.arena, kept + place)
        return finish_plain_delta(network, number, row, column, delta)

    return UnitFunctions(finish_unit, finish_delta)
