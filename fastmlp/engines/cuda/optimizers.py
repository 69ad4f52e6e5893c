"""Device functions that turn a summed gradient into a new weight."""

from functools import cache

from ...network.formulas import updates
from ...network.plan import Optimizer
from . import layout as at
from .elements import load, store
from .jit import chosen, compile_device, compile_formula

gradient = compile_formula(updates.gradient)
l1_gradient = compile_formula(updates.l1_gradient)
clipped = compile_formula(updates.clipped)


@cache
def _step(optimizer):
    """Make the device function of an optimiser's step, which reads only the constants it needs.

    Parameters
    ----------
    optimizer : Optimizer

    Returns
    -------
    device function
        It takes ``(value, first, second, g, rate, share, constants)`` and returns the parameter and
        the optimiser's two numbers after the step.
    """
    formula = compile_formula(updates.step_of(optimizer))

    @compile_device
    def step(value, first, second, g, rate, share, constants):
        scalars = updates.StepScalars(
            rate, constants[at.MOMENTUM], constants[at.BETA_1], constants[at.ONE_MINUS_BETA_1],
            constants[at.BETA_2], constants[at.ONE_MINUS_BETA_2], constants[at.EPSILON], share,
        )  # fmt: skip
        return formula(value, first, second, g, scalars)

    return step


@cache
def update_functions(specialization):
    """Make the device functions that change a parameter.

    Parameters
    ----------
    specialization : Specialization

    Returns
    -------
    shape_gradient : device function
        It takes ``(total, value, alpha, l1, inverse, constants)``, where `total` is a sum over the
        batch, and returns the mean gradient with penalties, within its limit.
    fetch : device function
        It takes ``(arena, w, n_parameters)`` and returns the parameter at w and the optimiser's two
        numbers, which `change` needs later.
    change : device function
        It takes ``(optimizer, arena, w, n_parameters, fetched, g, rate, share, decay, constants)``,
        writes the parameter at w and the optimiser's two numbers, and returns its new value.
    """
    optimizers = [Optimizer(code) for code in sorted(specialization.optimizers)]
    step = chosen({int(optimizer): _step(optimizer) for optimizer in optimizers})
    has_l1, clips = specialization.penalises_absolutes, specialization.clips_values
    decays = specialization.decays_weights
    uses_first = any(optimizer.uses_first for optimizer in optimizers)
    uses_second = any(optimizer.uses_second for optimizer in optimizers)

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
