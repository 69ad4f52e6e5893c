"""When ``device='auto'`` takes a GPU: on any machine, with or without one."""

import gc
import weakref

import numpy as np
import pytest
import scipy.sparse as sp

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.engines import devices
from fastmlp.engines.engine import Data
from fastmlp.network.plan import Activation, Loss, Optimizer, TrainingPlan

DIGITS = 784, 512, 512, 10  # 669 706 parameters
KINDS = Activation.RELU, Loss.SQUARED_ERROR, Optimizer.ADAM


@pytest.mark.parametrize(
    "units, n_rows, n_epochs, expected",
    [
        (DIGITS, 1500, 0, False),
        (DIGITS, 60_000, 0, False),
        (DIGITS, 1_000_000, 0, True),
        (DIGITS, 1500, 1, False),
        (DIGITS, 60_000, 1, False),
        (DIGITS, 500_000, 1, True),
        (DIGITS, 1500, 200, False),
        (DIGITS, 60_000, 4, False),
        (DIGITS, 60_000, 5, True),
        (DIGITS, 6000, 200, True),
        (DIGITS, 4000, 10**9, False),  # it will not take so many
        ((30, 100, 1), 10_000, 200, False),
    ],
)
def test_what_is_worth_a_gpu(units, n_rows, n_epochs, expected, monkeypatch):
    monkeypatch.setattr(devices, "_compiled", set())
    plan = TrainingPlan(units, *KINDS)
    X = np.broadcast_to(np.float32(1), (n_rows, units[0]))
    assert devices._is_worth_a_gpu(plan, X, n_epochs) is expected


def test_sparse_rows_are_not(monkeypatch):
    monkeypatch.setattr(devices, "_least_work", lambda *work: 0)
    plan = TrainingPlan((3, 1), *KINDS)
    assert devices._is_worth_a_gpu(plan, np.eye(3), 1)
    assert not devices._is_worth_a_gpu(plan, sp.eye_array(3, format="csr"), 1)


def custom_plan():
    """Make a plan with a custom loss whose functions are new."""
    functions = (lambda y, p: (y - p) ** 2), (lambda y, p: 2 * (p - y))
    return TrainingPlan((3, 1), (), Loss.CUSTOM, Optimizer.ADAM, custom_loss=functions)


def use_gpu(plan, n_epochs, monkeypatch):
    monkeypatch.setattr("fastmlp.engines.cuda.support.why_not", lambda: "")
    assert devices._is_for_gpu("cuda", plan, np.eye(3), n_epochs)


def test_functions_of_a_custom_loss_are_let_go(monkeypatch):
    monkeypatch.setattr(devices, "_compiled", set())
    plan = custom_plan()
    functions = [weakref.ref(function) for function in plan.custom_loss]
    use_gpu(plan, 1, monkeypatch)
    assert len(devices._compiled) == 1
    del plan
    gc.collect()
    assert [function() for function in functions] == [None, None]


def test_a_custom_loss_is_compiled_while_its_kernels_are_kept(monkeypatch):
    from fastmlp.engines.cuda import specialization

    monkeypatch.setattr(devices, "_compiled", set())
    monkeypatch.setattr(specialization, "_made_for_custom", specialization.OrderedDict())
    plan, other = custom_plan(), custom_plan()
    use_gpu(plan, 1, monkeypatch)
    assert not devices._is_compiled(plan, 1)
    specialization.remember(plan.custom_loss, object)  # as opening an engine does
    assert devices._is_compiled(plan, 1)
    assert not devices._is_compiled(other, 1)
    assert not devices._is_compiled(plan, 0)
    for _ in range(specialization.MOST_KEPT):
        specialization.remember(custom_plan().custom_loss, object)
    assert not devices._is_compiled(plan, 1)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_epochs_that_are_expected(monkeypatch):
    asked = []
    monkeypatch.setattr(
        devices, "_is_worth_a_gpu", lambda plan, X, n_epochs, *of_gradients: asked.append(n_epochs)
    )
    X, y = np.eye(6), np.arange(6) % 2
    options = {"device": "auto", "diagnose": False}
    for solver in ("adam", "lbfgs"):
        MLPClassifier(solver=solver, max_iter=7, **options).fit(X, y).predict(X)
    MLPRegressor(**options).partial_fit(X, y)
    assert asked == [7, 0, 7, 0, 1]


@pytest.mark.parametrize(
    "options, is_measured",
    [
        ({}, False),
        ({"l1": 0.1}, False),
        ({"clip_norm": 9.0}, True),
        ({"monitors_gradient": 1}, True),
    ],
)
def test_the_norm_of_the_gradient_is_measured_where_the_plan_needs_it(options, is_measured):
    """As the contract of engines says; the GPU's engine has the same test."""
    plan = TrainingPlan((3, 1), *KINDS, batch_size=2, **options)
    data = Data(np.eye(3), np.ones((3, 1)))
    with devices.open_engine("cpu", plan, np.zeros(4), data) as engine:
        engine.run_epoch(np.arange(3), 0.1)
        assert (engine.gradient_norm is not None) == is_measured
