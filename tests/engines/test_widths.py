"""Layers whose numbers of units fill no vectors: whole ones, halves, and few units."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import naive
import numpy as np
import pytest
from helpers import loss_and_gradient, team_of

from fastmlp.engines.cpu import engine
from fastmlp.network.plan import Activation, Loss, Optimizer, TrainingPlan
from fastmlp.network.weights import n_parameters

WIDTHS = [1, 2, 3, 5, 7, 9, 15, 17, 26, 31, 33, 50]
# Units of the first and last layers as well; few outputs have vectors over the inputs.
NETWORKS = [units for width in WIDTHS for units in ((5, width, 3), (width, 40, width), (37, width))]


def problem(units, n_rows, seed=0):
    """Weights, biases, X and Y of a regression, in float64."""
    rng = np.random.RandomState(seed)
    weights, biases = naive.initial_weights(units, "tanh", rng)
    return (
        weights,
        biases,
        rng.normal(size=(n_rows, units[0])),
        rng.normal(size=(n_rows, units[-1])),
    )


def check_gradients(units, dtype):
    """Compare the engine's gradient with the oracle's, with rows that fill no tiles either."""
    weights, biases, X, Y = problem(units, n_rows=47)
    expected = naive.loss_and_gradient(
        weights, biases, "tanh", "squared_error", X, Y, None, alpha=0.3
    )[1]
    theta = np.concatenate([np.ravel(part) for part in weights + biases]).astype(dtype)
    plan = TrainingPlan(
        units, Activation.TANH, Loss.SQUARED_ERROR, Optimizer.ADAM, 0.3, dtype=np.dtype(dtype)
    )
    _, gradient = loss_and_gradient(plan, theta, X.astype(dtype), Y.astype(dtype))
    wanted = np.concatenate([np.ravel(part) for part in expected])
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(gradient, wanted, rtol=0, atol=tolerance * max(1, abs(wanted).max()))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("units", NETWORKS, ids=str)
def test_gradients(units, dtype):
    check_gradients(units, dtype)


def trained(units, n_threads):
    """Parameters after some epochs of batches, of which the last one is smaller."""
    weights, biases, X, Y = problem(units, n_rows=103)
    theta = np.concatenate([np.ravel(part) for part in weights + biases]).astype(np.float32)
    plan = TrainingPlan(
        units, Activation.RELU, Loss.SQUARED_ERROR, Optimizer.ADAM, 0.1, batch_size=37,
        beta_1=0.9, beta_2=0.999, epsilon=1e-8, dtype=np.dtype(np.float32),
    )  # fmt: skip
    X, Y = X.astype(np.float32), Y.astype(np.float32)
    with engine.CpuEngine(plan, theta, X, Y, n_jobs=n_threads) as opened:
        assert opened._team.n_threads == n_threads
        for _ in range(3):
            opened.run_epoch(np.arange(len(X)), 0.01)
        result = opened.pull()
    assert result.size == n_parameters(units)
    return result


@pytest.mark.parametrize("units", [(19, 50, 3), (50, 26, 17), (9, 33, 1)], ids=str)
def test_threads_change_no_bit(units):
    with team_of(3):
        alone = trained(units, 1)
        for n_threads in (2, 3):
            np.testing.assert_array_equal(trained(units, n_threads), alone)


ALL = """
import sys
sys.path[:0] = sys.argv[1:3]
import numpy as np, test_widths
for units in test_widths.NETWORKS:
    for dtype in (np.float32, np.float64):
        test_widths.check_gradients(units, dtype)
print("equal")
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="levels of x86-64")
@pytest.mark.parametrize("level", ["x86-64-v2", "x86-64-v3"])
def test_gradients_with_narrower_vectors(level):
    here = Path(__file__).parent
    result = subprocess.run(
        [sys.executable, "-c", ALL, str(here), str(here.parent)],
        env={**os.environ, "FASTMLP_LEVEL": level}, capture_output=True, text=True,
    )  # fmt: skip
    assert result.stdout == "equal\n", result.stderr
