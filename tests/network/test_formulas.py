"""The formulas against plain numpy and against finite differences."""

import math

import naive
import numpy as np
import pytest
from numba import from_dtype, types

from fastmlp.engines.cpu.jit import compile_formula
from fastmlp.network import plan as plans
from fastmlp.network.formulas import activations, losses, updates
from fastmlp.network.formulas.philox import philox
from fastmlp.network.plan import Activation, Loss, Optimizer, TrainingPlan

# Away from the kinks at zero, and far enough for the ends of every formula.
POINTS = [-30.0, -2.5, -0.7, -1e-3, 1e-3, 0.4, 1.9, 30.0]
LEARNING_RATE, MOMENTUM, BETA_1, BETA_2, EPSILON = 0.05, 0.8, 0.9, 0.99, 1e-3
each_activation = pytest.mark.parametrize("activation", list(Activation))


def slope(function, x, step=1e-5):
    """The central difference quotient."""
    return (function(x + step) - function(x - step)) / (2 * step)


@each_activation
def test_activations_are_those_of_a_plain_implementation(activation):
    formula = activations.formula_of(activation)
    expected = naive.ACTIVATIONS[activation.name.lower()][0]
    for z in [*POINTS, 0.0, -600.0, 600.0]:
        assert formula(z) == pytest.approx(float(expected(np.float64(z))), rel=1e-13, abs=1e-15)
    assert math.isnan(formula(math.nan))


@each_activation
def test_derivatives_of_activations_are_finite_differences(activation):
    formula, of_a, of_z = (
        find(activation)
        for find in (activations.formula_of, activations.derivative_of, activations.slope_of)
    )
    assert (of_a is None) != (of_z is None)
    for z in POINTS:
        found = of_z(z) if of_a is None else of_a(formula(z))
        step = 1e-5 if abs(z) > 0.01 else 1e-6
        assert found == pytest.approx(slope(formula, z, step), rel=1e-6, abs=1e-9)
        exact = naive.ACTIVATIONS[activation.name.lower()][1](np.float64(z))
        assert found == pytest.approx(float(exact), rel=1e-9, abs=1e-12)


@each_activation
def test_derivatives_are_kept_where_activations_do_not_tell_them(activation):
    assert plans.keeps_derivatives(activation, 0.0) is (
        activations.derivative_of(activation) is None
    )
    assert plans.keeps_derivatives(activation, 0.1)


def outputs_of(name, z):
    """Predictions of one row's output pre-activations."""
    return naive.output_activation(name, np.reshape(z, (1, -1)))[0]


def loss_of(loss, y, p, parameter):
    """Loss of one row with the formulas: a sum over outputs, or the margin."""
    if loss == Loss.MARGIN:
        own, other = p[y > 0], p[y == 0]
        return losses.margin(own.item(), other.max(), parameter)
    value = losses.value_of(loss)
    more = [parameter] if loss.has_parameter or loss.clips_probabilities else []
    return sum(value(*pair, *more) for pair in zip(y.tolist(), p.tolist(), strict=True))


def deltas_of(loss, y, p, parameter):
    if loss == Loss.MARGIN:
        own, other = y.argmax(), np.where(y > 0, -1, p).argmax()
        slope = losses.margin_slope(p[own], p[other], parameter)
        slopes = np.zeros_like(p)
        slopes[own], slopes[other] = -slope, slope
        return [losses.softmax_delta(*pair, slopes @ p) for pair in zip(p, slopes, strict=True)]
    delta = losses.delta_of(loss)
    more = [parameter] if delta is not losses.delta and loss.has_parameter else []
    return [delta(*pair, *more) for pair in zip(y.tolist(), p.tolist(), strict=True)]


PARAMETERS = {Loss.HUBER: 0.6, Loss.QUANTILE: 0.3, Loss.MARGIN: 0.9, Loss.BINARY_MARGIN: 0.9}
TARGETS = {
    Loss.CROSS_ENTROPY: np.array([0.0, 1.0, 0.0]),
    Loss.MARGIN: np.array([0.0, 1.0, 0.0]),
    Loss.BINARY_CROSS_ENTROPY: np.array([0.0, 1.0, 1.0]),
    Loss.BINARY_MARGIN: np.array([0.0, 1.0, 1.0]),
    Loss.POISSON: np.array([0.0, 1.0, 3.0]),
}
PRE_ACTIVATIONS = [[0.3, -0.2, 0.9], [-1.5, 2.5, 0.1], [0.1, 0.7, -2.0]]
each_loss = pytest.mark.parametrize("loss", [loss for loss in Loss if loss != Loss.CUSTOM])


@each_loss
@pytest.mark.parametrize("z", PRE_ACTIVATIONS)
def test_losses_are_those_of_a_plain_implementation(loss, z):
    name, eps = loss.name.lower(), np.finfo(float).eps
    y, p = TARGETS.get(loss, np.array([0.5, -1.0, 0.2])), outputs_of(loss.name.lower(), z)
    parameter = PARAMETERS.get(loss, eps)
    found = loss_of(loss, y, p, parameter)
    expected = naive.row_losses(name, y[None], p[None], parameter).item()
    # That of the squared error is the mean over outputs.
    scale = 3 if loss == Loss.SQUARED_ERROR else 1
    assert found == pytest.approx(scale * expected, rel=1e-13)


@each_loss
@pytest.mark.parametrize("z", PRE_ACTIVATIONS)
def test_deltas_are_finite_differences_through_the_output_activation(loss, z):
    name, z = loss.name.lower(), np.array(z)
    y = TARGETS.get(loss, np.array([0.5, -1.0, 0.2]))
    parameter = PARAMETERS.get(loss, np.finfo(float).eps)
    found = deltas_of(loss, y, outputs_of(name, z), parameter)
    for j in range(3):

        def value(z_j, j=j):
            moved = z.copy()
            moved[j] = z_j
            return loss_of(loss, y, outputs_of(name, moved), parameter)

        assert found[j] == pytest.approx(slope(value, z[j]), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("loss", [Loss.CROSS_ENTROPY, Loss.BINARY_CROSS_ENTROPY])
def test_probabilities_are_clipped(loss):
    value = losses.value_of(loss)
    assert value(1.0, 0.0, 0.01) == pytest.approx(-math.log(0.01))
    assert value(1.0, 1.0, 0.01) == pytest.approx(-math.log(0.99))
    assert math.isnan(value(1.0, math.nan, 0.01))


def test_losses_at_the_edges_of_their_cases():
    assert losses.absolute_error_delta(1.0, 1.0) == losses.quantile_delta(1.0, 1.0, 0.3) == 0
    assert losses.huber(0.0, 0.5, 0.5) == 0.125 and losses.huber_delta(0.0, 9.0, 0.5) == 0.5
    assert losses.margin(0.8, 0.1, 0.7) == pytest.approx(0, abs=1e-15)
    assert losses.margin_slope(0.9, 0.1, 0.7) == 0
    assert losses.poisson(0.0, 0.5) == 0.5
    for name in ("absolute_error", "huber", "quantile"):
        more = [0.5] if name != "absolute_error" else []
        assert math.isnan(losses.delta_of(Loss[name.upper()])(1.0, math.nan, *more))


def scalars_of(optimizer, t):
    rate, share = LEARNING_RATE, 0.0
    if optimizer == Optimizer.ADAM:
        rate = updates.adam_learning_rate(rate, BETA_1, BETA_2, t)
    elif optimizer == Optimizer.NADAM:
        rate = updates.nadam_learning_rate(rate, BETA_1, BETA_2, t)
        share = updates.nadam_gradient_share(BETA_1, t)
    return updates.StepScalars(
        rate, MOMENTUM, BETA_1, 1 - BETA_1, BETA_2, 1 - BETA_2, EPSILON, share
    )


NAIVE = {
    Optimizer.SGD: lambda p: naive.SGD(p, LEARNING_RATE, MOMENTUM, nesterov=False),
    Optimizer.NESTEROV: lambda p: naive.SGD(p, LEARNING_RATE, MOMENTUM),
    Optimizer.ADAM: lambda p: naive.Adam(p, LEARNING_RATE, BETA_1, BETA_2, EPSILON),
    Optimizer.ADAGRAD: lambda p: naive.AdaGrad(p, LEARNING_RATE, EPSILON),
    Optimizer.RMSPROP: lambda p: naive.RMSProp(p, LEARNING_RATE, BETA_2, EPSILON),
    Optimizer.NADAM: lambda p: naive.NAdam(p, LEARNING_RATE, BETA_1, BETA_2, EPSILON),
}


@pytest.mark.parametrize("optimizer", NAIVE)
def test_steps_are_those_of_a_plain_implementation(optimizer):
    step = updates.step_of(optimizer)
    parameters = [np.array([0.7])]
    plain = NAIVE[optimizer](parameters)
    value, first, second = 0.7, 0.0, 0.0
    for t, g in enumerate([0.4, -1.2, 3.0, 0.0, 1e-4, -0.3], start=1):
        value, first, second = step(value, first, second, g, scalars_of(optimizer, t))
        plain.step(parameters, [np.array([g])])
        assert value == pytest.approx(parameters[0].item(), rel=1e-12)


def test_the_gradients_step_keeps_the_gradient_alone():
    scalars = scalars_of(Optimizer.GRADIENT, 1)
    assert updates.step_of(Optimizer.GRADIENT)(0.7, 0.1, 0.2, 0.5, scalars) == (0.7, 0.5, 0.2)


@pytest.mark.parametrize("optimizer", list(Optimizer))
def test_steps_use_the_vectors_that_their_optimisers_keep(optimizer):
    step, scalars = updates.step_of(optimizer), scalars_of(optimizer, 1)
    for place, is_used in ((1, optimizer.uses_first), (2, optimizer.uses_second)):
        state = [0.7, 0.1, 0.2]
        before = step(*state, 0.5, scalars)
        state[place] = 0.3
        after = step(*state, 0.5, scalars)
        # A vector that is not used is returned as it came, and moves nothing else.
        others = [i for i in range(3) if i != place]
        is_returned = after[place] == 0.3 and before[place] == (0.1, 0.2)[place - 1]
        assert is_returned is not is_used
        assert is_used or [before[i] for i in others] == [after[i] for i in others]


def test_bias_corrections_of_many_steps_at_once():
    t = np.arange(1.0, 2000.0)
    many = {name: getattr(updates, f"{name}_learning_rate") for name in ("adam", "nadam")}
    for rate in many.values():
        expected = [rate(LEARNING_RATE, BETA_1, BETA_2, step) for step in t.tolist()]
        found = rate(LEARNING_RATE, BETA_1, BETA_2, t)
        np.testing.assert_allclose(found, expected, rtol=1e-14)
        assert found[-1] == pytest.approx(LEARNING_RATE)
    expected = LEARNING_RATE * np.sqrt(1 - BETA_2) / (1 - BETA_1)
    assert many["adam"](LEARNING_RATE, BETA_1, BETA_2, 1) == pytest.approx(expected)


def test_gradients_with_penalties():
    assert updates.gradient(3.0, 0.5, 0.2, 0.25) == pytest.approx((3 + 0.2 * 0.5) / 4)
    found = [updates.l1_gradient(w, 0.2, 0.25) for w in (-3.0, 0.0, 2.0)]
    assert found == pytest.approx([-0.05, 0, 0.05])
    assert [updates.clipped(g, 1.0) for g in (-3.0, 0.5, 2.0)] == [-1, 0.5, 1]
    assert math.isnan(updates.clipped(math.nan, 1.0))


def test_philox_is_that_of_a_plain_implementation():
    for counters in ((0, 0, 0), (5, 2**32 - 1, 12345), (2**31, 7, 2**32 - 1)):
        assert philox(*counters) == naive.philox_bits(*counters)


def formulas_of_one_number():
    for find in (activations.formula_of, activations.derivative_of, activations.slope_of):
        yield from filter(None, map(find, Activation))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("formula", formulas_of_one_number(), ids=lambda f: f.__name__)
def test_compiled_constants_are_as_narrow_as_the_numbers_that_they_meet(formula, dtype):
    compiled = compile_formula(formula)
    for a in (0.3, 1.5, -0.4):
        found = compiled(dtype(a))
        assert found == pytest.approx(formula(a), rel=1e-5 if dtype == np.float32 else 1e-13)
    number = from_dtype(np.dtype(dtype))
    (returned,) = (s.return_type for s in compiled.nopython_signatures if s.args == (number,))
    assert returned in (number, types.int8)  # which fits every type


def test_each_output_activation_has_one_loss_for_predictions():
    assert set(plans.PREDICTION_LOSSES) == set(plans.OUTPUT_ACTIVATIONS.values())
    for name, loss in plans.PREDICTION_LOSSES.items():
        assert plans.OUTPUT_ACTIVATIONS[loss] == name


def test_parameters_of_each_outputs_loss():
    def parameters(loss, **options):
        plan = TrainingPlan((4, 3), Activation.RELU, loss, Optimizer.GRADIENT, **options)
        return plan.row_loss_parameters().tolist()

    eps = float(np.finfo(np.float32).eps)
    assert parameters(Loss.CROSS_ENTROPY, dtype=np.dtype(np.float32)) == [eps] * 3
    assert parameters(Loss.QUANTILE, loss_parameters=(0.1, 0.5, 0.8)) == [0.1, 0.5, 0.8]
    assert parameters(Loss.MARGIN, loss_parameters=(0.4,)) == [0.4] * 3
    assert parameters(Loss.SQUARED_ERROR) == [0, 0, 0]


@pytest.mark.parametrize(
    ("options", "needs_gradient", "needs_norm"),
    [
        ({"alpha": 0.1}, False, False),
        ({"l1": 0.1}, True, False),
        ({"clip_value": 1.0}, True, False),
        ({"clip_norm": 1.0}, True, True),
        ({"monitors_gradient": True}, True, True),
        ({"weight_decay": 0.1}, False, False),
        ({"weight_decay": 0.1, "alpha": 0.1}, True, False),
    ],
)
def test_plans_that_need_the_gradient_and_its_norm(options, needs_gradient, needs_norm):
    plan = TrainingPlan((4, 3), Activation.RELU, Loss.HUBER, Optimizer.ADAM, **options)
    assert plan.needs_gradient is needs_gradient
    assert plan.needs_gradient_norm is needs_norm
