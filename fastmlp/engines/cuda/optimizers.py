"""From a summed gradient to a new weight, in device code."""

from functools import cache

from ...network.formulas import updates
from ...network.plan import Optimizer
from . import layout as at
from .elements import load, store
from .jit import chosen, compile_device, compile_formula

gradient = compile_formula(updates.gradient)
l1_gradient = compile_formula(updates.l1_gradient)
clipped = compile_formula(updates.clipped)
velocity = compile_formula(updates.velocity)
nesterov_step = compile_formula(updates.nesterov_step)
first_moment = compile_formula(updates.first_moment)
second_moment = compile_formula(updates.second_moment)
sum_of_squares = compile_formula(updates.sum_of_squares)
scaled_step = compile_formula(updates.scaled_step)
nadam_mixture = compile_formula(updates.nadam_mixture)


@compile_device
def _gradient(value, first, second, g, rate, share, constants):
    """The parameter and the optimiser's two numbers after a step; so do the next ones."""
    return value, g, second


@compile_device
def _sgd(value, first, second, g, rate, share, constants):
    v = velocity(first, g, rate, constants[at.MOMENTUM])
    return value + v, v, second


@compile_device
def _nesterov(value, first, second, g, rate, share, constants):
    v = velocity(first, g, rate, constants[at.MOMENTUM])
    return value + nesterov_step(v, g, rate, constants[at.MOMENTUM]), v, second


@compile_device
def _adagrad(value, first, second, g, rate, share, constants):
    v = sum_of_squares(second, g)
    return value + scaled_step(g, v, rate, constants[at.EPSILON]), first, v


@compile_device
def _rmsprop(value, first, second, g, rate, share, constants):
    v = second_moment(second, g, constants[at.BETA_2], constants[at.ONE_MINUS_BETA_2])
    return value + scaled_step(g, v, rate, constants[at.EPSILON]), first, v


@compile_device
def _adam(value, first, second, g, rate, share, constants):
    m = first_moment(first, g, constants[at.BETA_1], constants[at.ONE_MINUS_BETA_1])
    v = second_moment(second, g, constants[at.BETA_2], constants[at.ONE_MINUS_BETA_2])
    return value + scaled_step(m, v, rate, constants[at.EPSILON]), m, v


@compile_device
def _nadam(value, first, second, g, rate, share, constants):
    m = first_moment(first, g, constants[at.BETA_1], constants[at.ONE_MINUS_BETA_1])
    v = second_moment(second, g, constants[at.BETA_2], constants[at.ONE_MINUS_BETA_2])
    mixture = nadam_mixture(m, g, constants[at.BETA_1], share)
    return value + scaled_step(mixture, v, rate, constants[at.EPSILON]), m, v


_STEPS = {
    Optimizer.GRADIENT: _gradient, Optimizer.SGD: _sgd, Optimizer.NESTEROV: _nesterov,
    Optimizer.ADAM: _adam, Optimizer.ADAGRAD: _adagrad, Optimizer.RMSPROP: _rmsprop,
    Optimizer.NADAM: _nadam,
}  # fmt: skip


# Those that keep something in the first vector of the state, and in the second.
_USE_FIRST = frozenset(Optimizer) - {Optimizer.ADAGRAD, Optimizer.RMSPROP}
_USE_SECOND = frozenset(Optimizer) - {Optimizer.GRADIENT, Optimizer.SGD, Optimizer.NESTEROV}


@cache
def update_functions(choices):
    """The device functions that change a parameter.

    Parameters
    ----------
    choices : Choices

    Returns
    -------
    shape_gradient : device function
        ``(total, value, alpha, l1, inverse, constants)``: from a sum over the batch to the mean
        gradient with penalties, within its limit.
    fetch : device function
        ``(arena, w, n_parameters)`` to the parameter at w and the optimiser's two numbers, in time
        for :func:`change`.
    change : device function
        ``(optimizer, arena, w, n_parameters, fetched, g, rate, share, decay, constants)`` sets the
        parameter at w, and its optimiser state; its new value.
    """
    step = chosen({int(code): _STEPS[code] for code in sorted(choices.optimizers)})
    has_l1, clips, decays = (
        choices.penalises_absolutes, choices.clips_values, choices.decays_weights,
    )  # fmt: skip
    uses_first = not choices.optimizers.isdisjoint(_USE_FIRST)
    uses_second = not choices.optimizers.isdisjoint(_USE_SECOND)

    @compile_device
    def shape_gradient(total, value, alpha, l1, inverse, constants):
        g = gradient(total, value, alpha, inverse)
        if has_l1:
            g += l1_gradient(value, l1, inverse)
        if clips:
            g = clipped(g, constants[at.CLIP_VALUE])
        return g

    @compile_device
    def fetch(arena, w, n_parameters):
        value = load(arena, w)
        first = second = value
        if uses_first:
            first = load(arena, w + n_parameters)
        if uses_second:
            second = load(arena, w + 2 * n_parameters)
        return value, first, second

    @compile_device
    def change(optimizer, arena, w, n_parameters, fetched, g, rate, share, decay, constants):
        value, first, second = fetched
        if decays:
            value *= decay
        value, first, second = step(optimizer, value, first, second, g, rate, share, constants)
        store(arena, w, value)
        if uses_first:
            store(arena, w + n_parameters, first)
        if uses_second:
            store(arena, w + 2 * n_parameters, second)
        return value

    return shape_gradient, fetch, change
