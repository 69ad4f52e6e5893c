"""Device functions for the units of hidden layers: activations, their derivatives and dropout."""

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
    """The places and sizes of the matrices of a layer's product.

    Attributes
    ----------
    a : int
        Place of the first factor in the arena. It has a row for each row of the batch and `depth`
        columns, and lies in groups of rows.
    b : int
        Place of the second factor, which has `depth` rows and `width` columns, and lies row by row.
    out : int
        Place of the result. It has a row for each row of the batch and `width` columns, and lies in
        groups of rows.
    depth : int
        Number of products that make an element of the result.
    width : int
        Number of columns of the result.
    """

    a: int
    b: int
    out: int
    depth: int
    width: int


@compile_device
def operands(layers, number, is_back):
    """Find the :class:`Operands` of a layer's product.

    In the forward pass these are the layer's inputs, its weights and its outputs. In the backward
    pass (`is_back`) they are its deltas, its transposed weights and the deltas of the layer before.
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
    """Make a device function that multiplies a delta by the derivative at an activation.

    It leaves the delta as it is where the derivative does not follow from the activation. Then the
    forward pass has stored the derivative, and another function multiplies by it.
    """
    if derivative_of(activation) is None:

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
    """Make a device function ``(z, a)`` for the derivative at a pre-activation z.

    Its second argument is the activation of z, by which some derivatives are computed.
    """
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
    """Make a device function that selects an activation by its code, its first argument.

    Parameters
    ----------
    make : callable
        It makes the device function of one activation.
    specialization : Specialization
        Its activations, and the identity of the output layer, can be selected.
    """
    codes = sorted(specialization.activations | {Activation.IDENTITY}, reverse=True)
    return chosen({int(code): make(Activation(code)) for code in codes})


class UnitFunctions(NamedTuple):
    """Device functions that finish the elements of a layer's product.

    Attributes
    ----------
    finish_unit : device function
        It takes ``(network, number, row, column, seen, z)`` and returns the activation of a unit of
        layer `number`, where z is its pre-activation. `seen` is the number of rows that were
        trained on before this batch.
    finish_delta : device function
        It takes ``(network, number, row, column, delta)``, where `delta` is the derivative of the
        loss by the unit's activation, and returns the derivative by its pre-activation.
    """

    finish_unit: Callable
    finish_delta: Callable


@specialized
def unit_functions(specialization):
    """Make the :class:`UnitFunctions` of a :class:`~.specialization.Specialization`."""
    make = _keeping_derivatives if specialization.keeps_derivatives else _keeping_nothing
    return make(specialization)


def _keeping_nothing(specialization):
    """Make the functions for networks whose derivatives all follow from the activations."""
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
    """Make the functions for networks of which some layers store derivatives."""
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
                # Products in philox have 64 bits; int() keeps the simulator's int64 from overflow.
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
