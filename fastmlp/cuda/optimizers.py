"""From a summed gradient to a new weight, in device code."""

from functools import cache

from ..formulas import updates
from ..plan import Optimizer
from . import layout as at
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
def _gradient(arena, first, second, value, g, rate, share, constants):
    """Update the optimiser's state at `first` and `second`; the new value of the parameter."""
    arena[first] = g
    return value


@compile_device
def _sgd(arena, first, second, value, g, rate, share, constants):
    v = velocity(arena[first], g, rate, constants[at.MOMENTUM])
    arena[first] = v
    return value + v


@compile_device
def _nesterov(arena, first, second, value, g, rate, share, constants):
    v = velocity(arena[first], g, rate, constants[at.MOMENTUM])
    arena[first] = v
    return value + nesterov_step(v, g, rate, constants[at.MOMENTUM])


@compile_device
def _adagrad(arena, first, second, value, g, rate, share, constants):
    v = sum_of_squares(arena[second], g)
    arena[second] = v
    return value + scaled_step(g, v, rate, constants[at.EPSILON])


@compile_device
def _rmsprop(arena, first, second, value, g, rate, share, constants):
    v = second_moment(arena[second], g, constants[at.BETA_2], constants[at.ONE_MINUS_BETA_2])
    arena[second] = v
    return value + scaled_step(g, v, rate, constants[at.EPSILON])


@compile_device
def _adam(arena, first, second, value, g, rate, share, constants):
    m = first_moment(arena[first], g, constants[at.BETA_1], constants[at.ONE_MINUS_BETA_1])
    v = second_moment(arena[second], g, constants[at.BETA_2], constants[at.ONE_MINUS_BETA_2])
    arena[first] = m
    arena[second] = v
    return value + scaled_step(m, v, rate, constants[at.EPSILON])


@compile_device
def _nadam(arena, first, second, value, g, rate, share, constants):
    m = first_moment(arena[first], g, constants[at.BETA_1], constants[at.ONE_MINUS_BETA_1])
    v = second_moment(arena[second], g, constants[at.BETA_2], constants[at.ONE_MINUS_BETA_2])
    arena[first] = m
    arena[second] = v
    mixture = nadam_mixture(m, g, constants[at.BETA_1], share)
    return value + scaled_step(mixture, v, rate, constants[at.EPSILON])


_STEPS = {
    Optimizer.GRADIENT: _gradient, Optimizer.SGD: _sgd, Optimizer.NESTEROV: _nesterov,
    Optimizer.ADAM: _adam, Optimizer.ADAGRAD: _adagrad, Optimizer.RMSPROP: _rmsprop,
    Optimizer.NADAM: _nadam,
}  # fmt: skip


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
    change : device function
        ``(optimizer, arena, w, n_parameters, value, g, rate, share, decay, constants)`` sets the
        parameter at w, and its optimiser state; its new value.
    """
    step = chosen({int(code): _STEPS[code] for code in sorted(choices.optimizers)})
    has_l1, clips, decays = (
        choices.penalises_absolutes, choices.clips_values, choices.decays_weights,
    )  # fmt: skip

    @compile_device
    def shape_gradient(total, value, alpha, l1, inverse, constants):
        g = gradient(total, value, alpha, inverse)
        if has_l1:
            g += l1_gradient(value, l1, inverse)
        if clips:
            g = clipped(g, constants[at.CLIP_VALUE])
        return g

    @compile_device
    def change(optimizer, arena, w, n_parameters, value, g, rate, share, decay, constants):
        if decays:
            value *= decay
        first = w + n_parameters
        value = step(
            optimizer, arena, first, first + n_parameters, value, g, rate, share, constants
        )
        arena[w] = value
        return value

    return shape_gradient, change
