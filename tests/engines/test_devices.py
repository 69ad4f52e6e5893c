"""When ``device='auto'`` takes a GPU: on any machine, with or without one."""

import numpy as np
import pytest
import scipy.sparse as sp

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.engines import devices
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


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_epochs_that_are_expected(monkeypatch):
    asked = []
    monkeypatch.setattr(
        devices, "_is_worth_a_gpu", lambda plan, X, n_epochs: asked.append(n_epochs)
    )
    X, y = np.eye(6), np.arange(6) % 2
    options = {"device": "auto", "diagnose": False}
    for solver in ("adam", "lbfgs"):
        MLPClassifier(solver=solver, max_iter=7, **options).fit(X, y).predict(X)
    MLPRegressor(**options).partial_fit(X, y)
    assert asked == [7, 0, 7, 0, 1]
