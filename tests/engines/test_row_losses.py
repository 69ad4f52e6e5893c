"""Losses of rows that are not trained on: the CPU's kernels against plain numpy."""

import naive
import numpy as np
import pytest
from helpers import loss_and_gradient
from sklearn import metrics

import fastmlp
from fastmlp.engines.cpu import library
from fastmlp.engines.cpu.catalogue import DOUBLE_NAMES, NAMES
from fastmlp.engines.cpu.engine import CpuEngine
from fastmlp.engines.cpu.row_losses import row_losses
from fastmlp.network.plan import Activation, Loss, Optimizer, TrainingPlan

N_ROWS, N_OUTPUTS = 20, 3
LOSSES = [loss.name.lower() for loss in Loss]
PARAMETERS = {
    "huber": (0.6,) * 3, "quantile": (0.2, 0.5, 0.9), "margin": (0.7,) * 3,
    "binary_margin": (0.7,) * 3,
}  # fmt: skip


def log_cosh(y, p):
    return np.log(np.cosh(p - y))


def log_cosh_derivative(y, p):
    return np.tanh(p - y)


def plan_of(name, dtype=np.float64, n_outputs=N_OUTPUTS):
    return TrainingPlan(
        (4, n_outputs), Activation.RELU, Loss[name.upper()], Optimizer.GRADIENT,
        dtype=np.dtype(dtype), loss_parameters=PARAMETERS.get(name, ())[:n_outputs],
        custom_loss=(log_cosh, log_cosh_derivative) if name == "custom" else None,
    )  # fmt: skip


def problem(name, dtype):
    """Parameters, inputs, targets, and predictions of the network."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(N_ROWS, 4)).astype(dtype)
    theta = rng.normal(size=5 * N_OUTPUTS).astype(dtype)
    if name in ("cross_entropy", "margin"):
        Y = np.eye(N_OUTPUTS)[rng.randint(N_OUTPUTS, size=N_ROWS)]
    elif name in ("binary_cross_entropy", "binary_margin"):
        Y = rng.randint(2, size=(N_ROWS, N_OUTPUTS))
    elif name == "poisson":
        Y = rng.poisson(1, size=(N_ROWS, N_OUTPUTS))
    else:
        Y = rng.normal(size=(N_ROWS, N_OUTPUTS))
    z = X @ theta[:12].reshape(4, 3) + theta[12:]
    return theta, X, Y.astype(dtype), naive.output_activation(name, z)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_those_of_training_and_of_a_plain_implementation(name, dtype):
    theta, X, Y, P = problem(name, dtype)
    plan = plan_of(name, dtype)
    found = row_losses(plan, Y, P)
    assert found.dtype == np.float64 and found.shape == (N_ROWS,)
    parameter = PARAMETERS.get(name)
    if name != "quantile" and parameter:
        parameter = parameter[0]
    naive_name = "log_cosh" if name == "custom" else name
    expected = naive.row_losses(naive_name, Y.astype(float), P.astype(float), parameter)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-14)
    weight = np.linspace(0.1, 2, N_ROWS)
    kernel, _ = loss_and_gradient(plan, theta, X, Y, weight)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    assert np.average(found, weights=weight) == pytest.approx(kernel, rel=tolerance)
    with CpuEngine(plan, theta, X, Y) as engine:
        np.testing.assert_array_equal(engine.row_losses(Y, P), found)


def sklearn_loss(name, Y, P):
    """scikit-learn's number for a row's loss, summed over outputs as training does."""
    per_output = {"multioutput": "raw_values"}
    if name == "squared_error":
        return metrics.mean_squared_error(Y, P) / 2
    if name == "absolute_error":
        return metrics.mean_absolute_error(Y, P, **per_output).sum()
    if name == "poisson":
        columns = zip(Y.T, P.T, strict=True)
        return sum(metrics.mean_poisson_deviance(y, p) for y, p in columns) / 2
    if name == "quantile":
        return sum(
            metrics.mean_pinball_loss(Y[:, j], P[:, j], alpha=level)
            for j, level in enumerate(PARAMETERS["quantile"])
        )
    if name == "binary_cross_entropy":
        return sum(metrics.log_loss(*columns) for columns in zip(Y.T, P.T, strict=True))
    return metrics.log_loss(Y.argmax(axis=1), P)


@pytest.mark.parametrize(
    "name",
    ["squared_error", "absolute_error", "poisson", "quantile", "binary_cross_entropy",
     "cross_entropy"],
)  # fmt: skip
def test_losses_are_those_of_scikit_learn(name):
    _, _, Y, P = problem(name, np.float64)
    found = row_losses(plan_of(name), Y, P).mean()
    assert found == pytest.approx(sklearn_loss(name, Y, P), rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["cross_entropy", "binary_cross_entropy"])
def test_certain_mistakes_are_clipped_as_in_training(name, dtype):
    plan = plan_of(name, dtype, n_outputs=2)
    found = row_losses(plan, np.array([[0, 1]]), np.array([[1.0, 0.0]]))
    n_clipped = 1 if name == "cross_entropy" else 2
    assert found == pytest.approx(-n_clipped * np.log(float(np.finfo(dtype).eps)), rel=1e-9)


@pytest.mark.parametrize("name", ["huber", "quantile", "margin", "binary_margin"])
def test_parameters_are_not_rounded_to_the_plans_type(name):
    _, _, Y, P = problem(name, np.float64)
    wide, narrow = (row_losses(plan_of(name, dtype), Y, P) for dtype in (np.float64, np.float32))
    np.testing.assert_array_equal(wide, narrow)


def test_a_margin_of_one_class_and_of_ties():
    plan = plan_of("margin")
    P = np.array([[0.4, 0.4, 0.2], [0.2, 0.4, 0.4], [1.0, 0.0, 0.0]])
    Y = np.eye(3)[[0, 0, 0]]
    assert row_losses(plan, Y, P) == pytest.approx([1, 1 + 0.2 / 0.7, 0])
    assert row_losses(plan_of("margin", n_outputs=1), [[1]], [[0.35]]) == pytest.approx([0.5])


def test_other_kinds_of_arrays_compile_nothing():
    _, _, Y, P = problem("poisson", np.float64)
    plan = plan_of("poisson")
    expected = row_losses(plan, Y, P)
    n_found = sum(library.origins().values())
    read_only = Y.copy()
    read_only.flags.writeable = False
    for targets in (read_only, np.asfortranarray(Y), Y.astype(int), Y.astype(np.float32)):
        np.testing.assert_array_equal(row_losses(plan, targets, P), expected)
    assert sum(library.origins().values()) == n_found
    assert row_losses(plan, Y[:0], P[:0]).shape == (0,)


def test_warmup_prepares_them():
    fastmlp.warmup()
    n_found = sum(library.origins().values())
    for loss in Loss:
        if loss != Loss.CUSTOM:
            _, _, Y, P = problem(loss.name.lower(), np.float64)
            row_losses(plan_of(loss.name.lower()), Y, P)
    assert sum(library.origins().values()) == n_found == 2 * len(NAMES) + len(DOUBLE_NAMES)


def test_a_loss_beyond_the_largest_number_is_infinite():
    plan = plan_of("squared_error")
    assert row_losses(plan, np.zeros((1, 3)), np.full((1, 3), 1e200)) == np.inf
